"""Loads curated sets with `datasets` and puts them through TRL's own DPO data preparation.

    python torchvision_stub.py load_trl.py peers/tiny_untied TEXT_SET MIXED_SET peers/trl.json

TEXT_SET has no pictures: its rows go through `DPOTrainer._prepare_dataset` as they are, with a chat
template for plain texts. MIXED_SET goes through `DataCollatorForVisionPreference`, text
rows included, with Qwen2.5-VL's processor. Written is what came out: the decoded prompt, chosen and
rejected of each row by its id, and the sizes of its pictures in patches.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from datasets import Dataset, load_dataset
from transformers import AutoProcessor
from trl import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference, DPOTrainer

PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NO_LIMIT = 10**6


class Holder:
    """What `_prepare_dataset` asks of the trainer whose method it is."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer


def open_set(folder: Path) -> Dataset:
    """Open a published set as its users do."""
    return load_dataset("parquet", data_files=str(folder / "data" / "*.parquet"), split="train")


def prepare_texts(folder: Path, processor: Any) -> list[dict[str, Any]]:
    """Return what TRL makes of a set of texts."""
    tokenizer = processor.tokenizer
    tokenizer.chat_template = PLAIN_TEMPLATE
    args = DPOConfig(output_dir="unused", use_cpu=True, bf16=False, max_length=NO_LIMIT)
    made = DPOTrainer._prepare_dataset(
        Holder(tokenizer), open_set(folder), tokenizer, args, "train"
    )
    return [
        {
            "id": row["id"],
            **{
                name: tokenizer.decode(row[f"{name}_ids"])
                for name in ("prompt", "chosen", "rejected")
            },
            "grids": [],
        }
        for row in made
    ]


def collate_mixed(folder: Path, processor: Any) -> list[dict[str, Any]]:
    """Return what TRL's collator for vision makes of a set, a row at a time."""
    collator = DataCollatorForVisionPreference(processor=processor, max_length=None)
    found = []
    for row in open_set(folder):
        columns = {name: row[name] for name in ("prompt", "chosen", "rejected", "images")}
        batch = collator([columns])
        texts = {}
        for side, ids, mask, answer in zip(
            ("chosen", "rejected"),
            batch["input_ids"],
            batch["attention_mask"],
            batch["completion_mask"],
            strict=True,
        ):
            texts["prompt"] = processor.tokenizer.decode(ids[mask.bool() & ~answer.bool()])
            texts[side] = processor.tokenizer.decode(ids[answer.bool()])
        grids = batch["image_grid_thw"].tolist() if "image_grid_thw" in batch else []
        found.append({"id": row["id"], **texts, "grids": grids[: len(row["images"])]})
    return found


def main() -> None:
    """Read the command line, load and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("texts", type=Path, help="a curated set without pictures")
    parser.add_argument("mixed", type=Path, help="a curated set with pictures and texts")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    processor = AutoProcessor.from_pretrained(options.model)
    found = {
        "mixed": collate_mixed(options.mixed, processor),
        "texts": prepare_texts(options.texts, processor),
    }
    options.output.write_text(json.dumps(found) + "\n")
    print({name: len(rows) for name, rows in found.items()})


if __name__ == "__main__":
    main()
