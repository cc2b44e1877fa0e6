"""Loads a curated set's ms-swift export with ms-swift's own loader and template.

    python load_ms_swift.py peers/tiny_untied SET/ms-swift peers/loaded_sw.json

Rows go through `load_dataset`, strictly, and through the template's `encode` for preference pairs,
which opens the pictures. Written is what came out: the decoded chosen and rejected conversation of
each row in order, and the sizes of its pictures in patches. Paths of pictures are relative to the
export's folder, so the script works there.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torchvision_stub

torchvision_stub.install()
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

from swift.dataset import load_dataset  # noqa: E402
from swift.model import get_processor  # noqa: E402
from swift.template import get_template  # noqa: E402

LONGEST = 65_536


def load(model: Path, folder: Path) -> list[dict[str, Any]]:
    """Return every row as ms-swift's reward trainer would get it."""
    processor = get_processor(str(model), model_type="qwen2_5_vl")
    template = get_template(processor, template_type="qwen2_5_vl", max_length=LONGEST)
    template.set_mode("rlhf")
    os.chdir(folder)
    rows, _ = load_dataset(["data.jsonl"], load_from_cache_file=False, strict=True)
    found = []
    for row in rows:
        encoded = template.encode(dict(row))
        chosen, rejected = (
            template.tokenizer.decode(encoded[f"{side}_input_ids"])
            for side in ("chosen", "rejected")
        )
        grids = encoded.get("chosen_image_grid_thw")
        found.append(
            {
                "chosen": chosen,
                "rejected": rejected,
                "grids": [] if grids is None else grids.tolist(),
            }
        )
    return found


def main() -> None:
    """Read the command line, load and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path, help="the folder `ms-swift` of a curated set")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    model, output = options.model.resolve(), options.output.resolve()
    found = load(model, options.folder)
    output.write_text(json.dumps(found) + "\n")
    print(len(found))


if __name__ == "__main__":
    main()
