"""Trains a reward model with LLaMA-Factory's own trainer and saves it, value head included.

    python train_llamafactory.py peers/tiny_untied peers/data peers/out_lf --steps 4

Full fine-tuning in float32 on the CPU, the vision tower frozen, on `make_pairs.py`'s rows in
their order, with the optimizer and the falling rate that vlreward has by default. The
checkpoint's embeddings must not be tied: LLaMA-Factory 0.9.5 cannot save a tied one.
"""

import argparse
from pathlib import Path

import torch
import torchvision_stub

torchvision_stub.install()

import step_clock  # noqa: E402
from llamafactory.train.tuner import run_exp  # noqa: E402


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, help="the folder that make_pairs.py wrote")
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=2, help="pairs a step")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--note-steps", type=Path, help="where each step's loss and time go")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.note_steps:
        step_clock.note_steps(options.note_steps)
    run_exp(
        {
            "stage": "rm",
            "do_train": True,
            "finetuning_type": "full",
            "freeze_vision_tower": True,
            "freeze_multi_modal_projector": False,
            "model_name_or_path": str(options.model),
            "template": "qwen2_vl",
            "flash_attn": "sdpa",
            "disable_gradient_checkpointing": True,
            "dataset": "pairs",
            "dataset_dir": str(options.data),
            "media_dir": str(options.data),
            "cutoff_len": 2048,
            "preprocessing_num_workers": 1,
            "overwrite_cache": True,
            "output_dir": str(options.output),
            "save_strategy": "no",
            "logging_steps": 1,
            "report_to": "none",
            "per_device_train_batch_size": options.batch_size,
            "gradient_accumulation_steps": 1,
            "learning_rate": options.learning_rate,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0,
            "adam_beta2": 0.95,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "disable_shuffling": True,
            "max_steps": options.steps,
            "bf16": False,
            "fp16": False,
            "use_cpu": True,
        }
    )


if __name__ == "__main__":
    main()
