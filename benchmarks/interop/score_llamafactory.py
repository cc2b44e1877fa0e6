"""Scores pairs with LLaMA-Factory's own loader, template, collator and reward trainer.

    python score_llamafactory.py peers/out_lf peers/data peers/scores_lf.json --num-rows 6

Every number comes from LLaMA-Factory: `PairwiseTrainer.predict` gives the scores (it reads the
value head at the last position the mask covers), and the collator's batches, noted on their way
through, give the tokens and pixels. Float32, on the CPU.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import torchvision_stub
from peer_rows import (
    Answer,
    NotingCollator,
    PeerScore,
    find_system,
    split_batch,
    write_scores,
)

torchvision_stub.install()

from llamafactory.data import (  # noqa: E402
    PairwiseDataCollatorWithPadding,
    get_dataset,
    get_template_and_fix_tokenizer,
)
from llamafactory.hparams import get_train_args  # noqa: E402
from llamafactory.model import load_model, load_tokenizer  # noqa: E402
from llamafactory.train.rm.metric import ComputeAccuracy  # noqa: E402
from llamafactory.train.rm.trainer import PairwiseTrainer  # noqa: E402


def arguments(*, model: Path, data: Path, output: Path, num_rows: int) -> dict[str, Any]:
    """Return LLaMA-Factory's arguments for a prediction over the first rows."""
    return {
        "stage": "rm",
        "do_predict": True,
        "finetuning_type": "full",
        "model_name_or_path": str(model),
        "template": "qwen2_vl",
        "flash_attn": "sdpa",
        "infer_dtype": "float32",
        "eval_dataset": "pairs",
        "dataset_dir": str(data),
        "media_dir": str(data),
        "max_samples": num_rows,
        "cutoff_len": 2048,
        "preprocessing_num_workers": 1,
        "overwrite_cache": True,
        "output_dir": str(output),
        "per_device_eval_batch_size": 2,
        "report_to": "none",
        "bf16": False,
        "fp16": False,
        "use_cpu": True,
        "remove_unused_columns": False,
    }


def predict(settings: dict[str, Any]) -> tuple[Any, NotingCollator, Any]:
    """Return (predictions, collator with the batches, tokenizer), wired as `run_rm` wires them."""
    model_args, data_args, training_args, tuning_args, _ = get_train_args(settings)
    modules = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(modules["tokenizer"], data_args)
    datasets = get_dataset(template, model_args, data_args, training_args, stage="rm", **modules)
    model = load_model(
        modules["tokenizer"], model_args, tuning_args, is_trainable=False, add_valuehead=True
    )
    collator = NotingCollator(
        PairwiseDataCollatorWithPadding(
            template=template, model=model, pad_to_multiple_of=8, **modules
        )
    )
    trainer = PairwiseTrainer(
        model=model,
        args=training_args,
        finetuning_args=tuning_args,
        data_collator=collator,
        compute_metrics=ComputeAccuracy(),
        **modules,
    )
    predictions = trainer.predict(datasets["eval_dataset"], metric_key_prefix="predict")
    print("image processor:", type(modules["processor"].image_processor).__name__)
    print("model dtype:", next(model.parameters()).dtype, "dropout on:", model.v_head.training)
    return predictions.predictions, collator, modules["tokenizer"]


def split_pairs(batch: dict[str, torch.Tensor]) -> list[tuple[Answer, Answer]]:
    """Return a batch's (chosen, rejected); it has all chosen answers first, then all rejected."""
    answers = split_batch(batch)
    half = len(answers) // 2
    return list(zip(answers[:half], answers[half:], strict=True))


def main() -> None:
    """Read the command line, predict and write the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, help="the folder that make_pairs.py wrote")
    parser.add_argument("output", type=Path)
    parser.add_argument("--num-rows", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    predictions, collator, tokenizer = predict(
        arguments(
            model=options.model,
            data=options.data,
            output=options.output.with_suffix(""),
            num_rows=options.num_rows,
        )
    )
    chosen_scores, rejected_scores = predictions
    rows = json.loads((options.data / "pairs.json").read_text())[: options.num_rows]
    pairs = [pair for batch in collator.batches for pair in split_pairs(batch)]
    scores = [
        PeerScore(
            row=index,
            prompt=row["conversations"][0]["value"],
            image=str(options.data / row["images"][0]),
            chosen=row["chosen"]["value"],
            rejected=row["rejected"]["value"],
            score_chosen=float(chosen_scores[index]),
            score_rejected=float(rejected_scores[index]),
            input_ids_chosen=chosen.input_ids,
            input_ids_rejected=rejected.input_ids,
            image_grid_thw=[chosen.image_grid_thw],
            pixel_values_sum=chosen.pixel_values_sum,
            system=find_system(tokenizer.decode(chosen.input_ids)),
        )
        for index, (row, (chosen, rejected)) in enumerate(zip(rows, pairs, strict=True))
    ]
    write_scores(options.output, scores)


if __name__ == "__main__":
    main()
