"""Turns a Qwen2.5-VL checkpoint into a reward model's by adding a random value head.

    python add_value_head.py peers/tiny_untied peers/tiny_reward

The result has the layout of Skywork-VL-Reward-7B: the backbone as it was and
`value_head.safetensors` with `v_head.summary.weight` [1, hidden] and `v_head.summary.bias` [1].
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file


def hidden_size(checkpoint: Path) -> int:
    """Return the language model's width, wherever this config's transformers wrote it."""
    config = json.loads((checkpoint / "config.json").read_text())
    return int(config.get("text_config", config)["hidden_size"])


def main() -> None:
    """Read the command line, copy the folder and write the head."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shutil.copytree(options.source, options.target, dirs_exist_ok=True)
    generator = torch.Generator().manual_seed(options.seed)
    width = hidden_size(options.target)
    head = {
        "v_head.summary.weight": torch.randn(1, width, generator=generator) / width**0.5,
        "v_head.summary.bias": torch.randn(1, generator=generator),
    }
    save_file(head, options.target / "value_head.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
