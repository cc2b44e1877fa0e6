"""What weighing pairs by what words alone decide does on real pictures.

    python benchmarks/shortcuts.py ../shared/data --output runs/shortcuts

Blindtest, where words decide nothing, and mathvision, where they decide something, are trained on
together from the shipped base: once without pictures, which is the proxy; once as they are; and
once weighed by the proxy (`objective.words_alone`). Held-out accuracy by task with its 95 %
interval, and the same with each prompt's pictures traded for another pair's of the same task. The
runs resume where they stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from real_data_from_base import table_of

from vlreward.collation.config import CollationConfig
from vlreward.durable import write_text_atomically
from vlreward.modeling.config import ModelConfig
from vlreward.sources.read import load_preferences
from vlreward.sources.spec import parse_source
from vlreward.training.config import ObjectiveConfig, OptimizerConfig, StageConfig, TrainConfig
from vlreward.training.run import train

_SETS = ("blindtest", "mathvision")
_PROXY_EPOCHS = 1
"""In more it learns these pairs by heart, which would look like a shortcut: after three it orders
all of them rightly."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Where the pairs are, and where the runs go."""

    data: tyro.conf.Positional[Path]
    """Folder with blindtest/ and mathvision/, each with a pairs.jsonl."""
    output: Path = Path("runs/shortcuts")
    """Folder of the runs and tables."""
    base: str = "miniature-base"
    """What is trained from."""
    epochs: int = 12
    """Of the two models that see."""
    seed: int = 0
    """Of the order of pairs and the heads."""


def main(arguments: Arguments) -> None:
    """Trains all three and prints a table for each of the two that see."""
    proxy = replace(_config(arguments, "proxy", epochs=_PROXY_EPOCHS), blind=True, validation=())
    train(proxy)
    plain = _config(arguments, "plain", epochs=arguments.epochs)
    words_alone = str(Path(proxy.output) / "model")
    weighed = replace(
        _config(arguments, "weighed", epochs=arguments.epochs),
        objective=ObjectiveConfig(words_alone=words_alone),
    )
    pairs = load_preferences([*plain.validation]).pairs
    for config in (plain, weighed):
        model = train(config)
        text = f"{Path(config.output).name}:\n\n{table_of(model, pairs)}\n"
        write_text_atomically(Path(f"{config.output}.md"), text)
        print(text, flush=True)


def _config(arguments: Arguments, name: str, *, epochs: int) -> TrainConfig:
    files = [arguments.data / one / "pairs.jsonl" for one in _SETS]
    return TrainConfig(
        output=str(arguments.output / f"seed-{arguments.seed}" / name),
        data=tuple(parse_source(f"{file}#train") for file in files),
        validation=tuple(parse_source(f"{file}#val") for file in files),
        model=ModelConfig(
            path=arguments.base,
            dtype="float32",
            freeze_vision=False,
            initial_seed=arguments.seed,
        ),
        collation=CollationConfig(max_length=1024, max_pixels=168 * 168, token_budget=4096),
        stages=(
            StageConfig(
                name=name, epochs=epochs, batch_size=32, learning_rate=1e-3, warmup_ratio=0.1
            ),
        ),
        optimizer=OptimizerConfig(muon=True, weight_decay=0.01),
        seed=arguments.seed,
        save_every_steps=100,
    )


if __name__ == "__main__":
    main(tyro.cli(Arguments))
