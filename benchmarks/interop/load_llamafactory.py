"""Loads a curated set's LLaMA-Factory export with LLaMA-Factory's own loader and collator.

    python load_llamafactory.py peers/tiny_untied SET/llamafactory peers/loaded_lf.json

Rows go through `get_dataset` for the stage `rm`, which aligns, renders and tokenizes them, and
through the pairwise collator, which opens the pictures. Written is what came out: the decoded
chosen and rejected conversation of each row in order, and the sizes of its pictures in patches.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torchvision_stub

torchvision_stub.install()

from llamafactory.data import (  # noqa: E402
    PairwiseDataCollatorWithPadding,
    get_dataset,
    get_template_and_fix_tokenizer,
)
from llamafactory.hparams import get_train_args  # noqa: E402
from llamafactory.model import load_tokenizer  # noqa: E402

LONGEST = 65_536


def load(model: Path, folder: Path) -> list[dict[str, Any]]:
    """Return every row as LLaMA-Factory's reward trainer would get it."""
    model_args, data_args, training_args, _, _ = get_train_args(
        {
            "stage": "rm",
            "do_train": True,
            "finetuning_type": "full",
            "model_name_or_path": str(model),
            "template": "qwen2_vl",
            "dataset": "vlreward",
            "dataset_dir": str(folder),
            "media_dir": str(folder),
            "cutoff_len": LONGEST,
            "preprocessing_num_workers": 1,
            "overwrite_cache": True,
            "output_dir": "unused",
            "report_to": "none",
            "bf16": False,
            "fp16": False,
            "use_cpu": True,
            "remove_unused_columns": False,
        }
    )
    modules = load_tokenizer(model_args)
    tokenizer = modules["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    rows = get_dataset(template, model_args, data_args, training_args, stage="rm", **modules)
    collator = PairwiseDataCollatorWithPadding(template=template, **modules)
    found = []
    for row in rows["train_dataset"]:
        batch = collator([row])
        grids = batch["image_grid_thw"].tolist() if "image_grid_thw" in batch else []
        chosen, rejected = (
            tokenizer.decode(ids[mask.bool()])
            for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
        )
        found.append({"chosen": chosen, "rejected": rejected, "grids": grids[: len(grids) // 2]})
    return found


def main() -> None:
    """Read the command line, load and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path, help="the folder `llamafactory` of a curated set")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    found = load(options.model, options.folder)
    options.output.write_text(json.dumps(found) + "\n")
    print(len(found))


if __name__ == "__main__":
    main()
