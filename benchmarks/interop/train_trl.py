"""Trains a text reward model with TRL's RewardTrainer and saves it.

    python train_trl.py START ROWS out_trl --note-steps steps.jsonl

On rows `prompt`, `chosen` and `rejected` in TRL's conversational form, in their order, in float32
on the CPU, with the optimizer and the falling rate that vlreward has by default.
"""

import argparse
import json
from pathlib import Path

import torch
import torchvision_stub

torchvision_stub.install()

import step_clock  # noqa: E402
from datasets import Dataset  # noqa: E402
from trl import RewardConfig, RewardTrainer  # noqa: E402


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--batch-size", type=int, default=16, help="pairs a step")
    parser.add_argument("--learning-rate", type=float, default=3e-5)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--note-steps", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    step_clock.note_steps(options.note_steps)
    rows = [json.loads(line) for line in options.rows.read_text("utf-8").splitlines()]
    trainer = RewardTrainer(
        model=str(options.model),
        args=RewardConfig(
            output_dir=str(options.output),
            per_device_train_batch_size=options.batch_size,
            num_train_epochs=1,
            learning_rate=options.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=0,
            adam_beta2=0.95,
            weight_decay=0.0,
            max_grad_norm=1.0,
            max_length=options.max_length,
            train_sampling_strategy="sequential",
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            logging_steps=1,
            model_init_kwargs={"dtype": "float32"},
        ),
        train_dataset=Dataset.from_list(rows),
    )
    assert len(trainer.train_dataset) == len(rows), "rows were left out"
    trainer.train()
    trainer.save_model(str(options.output))


if __name__ == "__main__":
    main()
