"""Trains a reward model with ms-swift's own `swift rlhf --rlhf_type rm` and saves it.

    python train_ms_swift.py peers/tiny_untied peers/data peers/out_sw --steps 4

Full fine-tuning, the vision tower frozen, on `make_pairs.py`'s rows in their order, with the
optimizer and the falling rate that vlreward has by default; on the GPU if there is one, unless
CUDA_VISIBLE_DEVICES is empty. It goes through ms-swift's command-line arguments, in this process so
that the torchvision stand-in holds.
The checkpoint lands in `<output>/checkpoint-<steps>`.
"""

import argparse
from pathlib import Path

import torch
import torchvision_stub

torchvision_stub.install()

import step_clock  # noqa: E402
from swift.pipelines import rlhf_main  # noqa: E402


def to_flags(settings: dict[str, object]) -> list[str]:
    """Return the settings as ms-swift's command line has them."""
    flags = []
    for name, value in settings.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        flags += [f"--{name}", text]
    return flags


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, help="the folder that make_pairs.py wrote")
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=2, help="pairs a step")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--note-steps", type=Path, help="where each step's loss and time go")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.note_steps:
        step_clock.note_steps(options.note_steps)
    settings = {
        "rlhf_type": "rm",
        "tuner_type": "full",
        "freeze_vit": True,
        "freeze_aligner": False,
        "model": options.model,
        "model_type": "qwen2_5_vl",
        "template": "qwen2_5_vl",
        "torch_dtype": options.dtype,
        "attn_impl": "sdpa",
        "gradient_checkpointing": False,
        "dataset": options.data / "swift.jsonl",
        "split_dataset_ratio": 0,
        "load_from_cache_file": False,
        "lazy_tokenize": True,
        "dataset_num_proc": 1,
        "dataloader_num_workers": 0,
        "max_length": 2048,
        "output_dir": options.output,
        "add_version": False,
        "save_strategy": "steps",
        "save_steps": options.steps,
        "save_only_model": True,
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
        "dataset_shuffle": False,
        "train_sampling_strategy": "sequential",
        "max_steps": options.steps,
        "bf16": options.dtype == "bfloat16",
        "fp16": False,
        "use_cpu": not torch.cuda.is_available(),
    }
    rlhf_main(to_flags(settings))


if __name__ == "__main__":
    main()
