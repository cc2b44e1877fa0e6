"""Turns a Qwen2.5-VL checkpoint into a reward model's by adding a random value head.

    python add_value_head.py peers/tiny_untied peers/tiny_reward

The result has the layout of Skywork-VL-Reward-7B: the backbone as it was and
`value_head.safetensors` with `v_head.summary.weight` [1, hidden] and `v_head.summary.bias` [1].
With `--as-score` the same weight is `score.weight` in `model.safetensors`, where ms-swift looks
for it.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def hidden_size(checkpoint: Path) -> int:
    """Return the language model's width, wherever this config's transformers wrote it."""
    config = json.loads((checkpoint / "config.json").read_text())
    return int(config.get("text_config", config)["hidden_size"])


def drop_nothing(checkpoint: Path) -> None:
    """Have TRL's value head pass all of its input on, where it drops a tenth in training."""
    path = checkpoint / "config.json"
    config = json.loads(path.read_text()) | {"summary_dropout_prob": 0.0}
    path.write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    """Read the command line, copy the folder and write the head."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--as-score", action="store_true", help="ms-swift's layout")
    options = parser.parse_args()
    shutil.copytree(options.source, options.target, dirs_exist_ok=True)
    generator = torch.Generator().manual_seed(options.seed)
    width = hidden_size(options.target)
    head = {
        "v_head.summary.weight": torch.randn(1, width, generator=generator) / width**0.5,
        "v_head.summary.bias": torch.randn(1, generator=generator),
    }
    if options.as_score:
        weights = options.target / "model.safetensors"
        head = {**load_file(weights), "score.weight": head["v_head.summary.weight"]}
    else:
        drop_nothing(options.target)
        weights = options.target / "value_head.safetensors"
    save_file(head, weights, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
