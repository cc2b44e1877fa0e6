"""How well a reward model orders unseen pairs of the miniature world, and whether it looks.

Each group of pairs is measured three times: with pictures as they were drawn for training, in a
look never drawn for training, and with pictures of another pair of the family (the control: where
only the picture decides, a model that looks falls to half).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vlreward.interfaces import Scorer
from vlreward.records import PreferencePair
from vlreward.training.validation import Share, with_shuffled_pictures
from vlreward.world.preferences import WorldPair, make_pairs, make_text_pairs

HEADINGS = ("group", "pairs", "accuracy [95 %]", "unseen look", "pictures shuffled")
"""Of a table of `ExamRow`s."""
_BY_PICTURE = "decided by the picture"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A pair and the rewards of its two answers."""

    pair: PreferencePair
    chosen: float
    rejected: float

    @property
    def is_right(self) -> bool:
        """Whether the chosen answer scored strictly higher."""
        return self.chosen > self.rejected


def judge_pairs(
    scorer: Scorer,
    pairs: Sequence[PreferencePair],
    *,
    advance: Callable[[], None] = lambda: None,
) -> list[Judged]:
    """The rewards of both answers of each pair, in order."""
    judged = []
    scores = scorer.score_many((one.prompt, [one.chosen, one.rejected]) for one in pairs)
    for pair, (chosen, rejected) in zip(pairs, scores, strict=True):
        judged.append(Judged(pair=pair, chosen=chosen.value, rejected=rejected.value))
        advance()
    return judged


def share_of(judged: Sequence[Judged]) -> Share | None:
    """How many were ordered rightly; None for a group without pairs."""
    return Share.of([one.is_right for one in judged]) if judged else None


class ExamRow(NamedTuple):
    """A group of pairs; None where a measurement does not apply to it."""

    name: str
    seen: Share | None
    unseen: Share | None
    shuffled: Share | None

    @property
    def shares(self) -> tuple[Share | None, Share | None, Share | None]:
        """What was measured, in the order of `HEADINGS`."""
        return self.seen, self.unseen, self.shuffled

    @property
    def cells(self) -> list[str]:
        """The row as text, in the order of `HEADINGS`."""
        said = ["—" if share is None else str(share) for share in self.shares]
        return [self.name, str(self.num_pairs), *said]

    @property
    def num_pairs(self) -> int:
        """How many pairs it has in the look of training."""
        return self.seen.num_all if self.seen else 0

    def as_fields(self) -> dict[str, Any]:
        """All that was measured, as JSON values."""
        measured = zip(("seen", "unseen", "shuffled"), self.shares, strict=True)
        return {
            look: {"num_pairs": share.num_all, **share.as_fields()}
            for look, share in measured
            if share is not None
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldExam:
    """Unseen pairs: with the look of training, without pictures, and with another look."""

    seen: tuple[WorldPair, ...]
    text: tuple[WorldPair, ...]
    unseen: tuple[WorldPair, ...]
    shuffled: tuple[PreferencePair, ...]
    """Those of `seen` that only the picture decides, with pictures of others."""

    @classmethod
    def draw(cls, *, num_pictures: int, num_text_pairs: int, seed: int) -> WorldExam:
        """Of the test split, so many pictures in each look."""
        seen = tuple(make_pairs(num_pictures=num_pictures, seed=seed, split="test"))
        by_picture = [one.pair for one in seen if one.rejected == "wrong"]
        return cls(
            seen=seen,
            text=tuple(make_text_pairs(num_pairs=num_text_pairs, seed=seed, split="test")),
            unseen=tuple(
                make_pairs(num_pictures=num_pictures, seed=seed, split="test", look="unseen")
            ),
            shuffled=tuple(with_shuffled_pictures(by_picture, seed=seed)),
        )

    @property
    def num_comparisons(self) -> int:
        """How many pairs are scored."""
        return sum(map(len, (self.seen, self.text, self.unseen, self.shuffled)))

    def take(self, scorer: Scorer, *, advance: Callable[[], None] = lambda: None) -> ExamResult:
        """Lets a scorer order all pairs."""

        def judge(pairs: Sequence[PreferencePair]) -> list[Judged]:
            return judge_pairs(scorer, pairs, advance=advance)

        return ExamResult(
            exam=self,
            seen=judge([one.pair for one in self.seen]),
            text=judge([one.pair for one in self.text]),
            unseen=judge([one.pair for one in self.unseen]),
            shuffled=judge(self.shuffled),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamResult:
    """What a scorer gave the pairs of an exam, each list in the exam's order."""

    exam: WorldExam
    seen: list[Judged]
    text: list[Judged]
    unseen: list[Judged]
    shuffled: list[Judged]

    @property
    def rows(self) -> list[ExamRow]:
        """All with pictures, those of them that the picture decides, all without pictures; then
        by family, of the pairs that the picture decides; then by what is wrong with the worse.
        """
        seen = _grouped(self.exam.seen, self.seen)
        unseen = _grouped(self.exam.unseen, self.unseen)
        text = _grouped(self.exam.text, self.text)
        shuffled: dict[str, list[Judged]] = {_BY_PICTURE: self.shuffled}
        for one in self.shuffled:
            shuffled.setdefault(one.pair.origin.task or "", []).append(one)
        names = [_BY_PICTURE, *sorted({*seen, *text} - {_BY_PICTURE})]
        return [
            ExamRow("multimodal", share_of(self.seen), share_of(self.unseen), None),
            ExamRow("text", share_of(self.text), None, None),
            *(
                ExamRow(
                    name,
                    share_of(seen.get(name) or text[name]),
                    share_of(unseen.get(name, [])),
                    share_of(shuffled.get(name, [])),
                )
                for name in names
            ),
        ]

    def as_fields(self) -> Mapping[str, Any]:
        """The rows by name, as JSON values."""
        return {row.name: row.as_fields() for row in self.rows}


def _grouped(pairs: Sequence[WorldPair], judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    """Pairs about truth by family, and those with pictures together; the others by quality."""
    groups: dict[str, list[Judged]] = {}
    for one, found in zip(pairs, judged, strict=True):
        if one.rejected != "wrong":
            groups.setdefault(f"right over {one.rejected}", []).append(found)
            continue
        groups.setdefault(one.family, []).append(found)
        if one.pair.has_pictures:
            groups.setdefault(_BY_PICTURE, []).append(found)
    return groups
