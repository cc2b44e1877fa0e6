"""What a curation run does: its sources and, in their order, its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from vlreward.curation.compare_reasoning import CompareReasoning
from vlreward.curation.decontaminate import Decontaminate
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.curation.drop_identical import DropIdentical
from vlreward.curation.drop_similar import DropSimilar
from vlreward.curation.mix import Mix
from vlreward.curation.regenerate_weak import RegenerateWeak
from vlreward.errors import require
from vlreward.sources.config import ExportForm, SourceConfig

AnyStep = Annotated[
    DropIdentical
    | DropSimilar
    | DropAmbiguous
    | Decontaminate
    | RegenerateWeak
    | Mix
    | CompareReasoning,
    Field(discriminator="name"),
]

HASHED = "hashed"


@dataclass(frozen=True, kw_only=True, slots=True)
class CurateConfig:
    """One curation run."""

    output: str
    """The run folder; the same command run again resumes there."""
    data: tuple[SourceConfig, ...]
    """Preference data; in what order, changes nothing."""
    steps: tuple[AnyStep, ...]
    """What is dropped, rewritten and added, one rule after the other."""
    exports: tuple[ExportForm, ...] = ()
    """Forms of other trainers in which the set is written too, each into a folder of its name."""
    embedder: str = HASHED
    """Whose vectors say which texts are alike: `hashed` (words and spellings, no model), or the
    folder or hub name of a sentence encoder such as sentence-transformers/all-MiniLM-L6-v2, which
    knows synonyms too."""

    def __post_init__(self) -> None:
        output = self.output
        require(bool(output.strip()), place="output", value=repr(output), expected="a folder")
        names = [step.name for step in self.steps]
        twice = next((name for name in names if names.count(name) > 1), None)
        require(twice is None, place="steps", value=twice, expected="each step at most once")
