"""The paper's second stage: where a surrogate finds pairs weak, their chosen answers are rewritten.

A surrogate reward model is trained on the set and scores it, out of fold. The chosen answers with
the lowest scores, and those that are hardly better than the rejected ones, are given to a generator
model to write better ones. A new answer must be better than both old ones before it takes the place
of the chosen one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from vlreward import markdown
from vlreward.curation.calls import AskedModel, budget_spent
from vlreward.curation.frames import Frame
from vlreward.curation.rows import hash_of
from vlreward.curation.score_plots import draw_scores
from vlreward.curation.steps import Bench, Drop, Exhibit, Outcome
from vlreward.curation.surrogate import (
    Scored,
    Surrogate,
    SurrogateConfig,
    publish_scores,
    refuse_chance,
    rewards_of,
)
from vlreward.curation.weakness import Weakness
from vlreward.curation.working_set import numbered_pairs
from vlreward.generation.config import EndpointConfig
from vlreward.generation.estimate import Estimate, estimate, usual_text
from vlreward.generation.outcomes import Failure
from vlreward.generation.reasoning import Generated, regenerate, regenerate_requests
from vlreward.generation.verdicts import judge_pairs, pair_requests
from vlreward.interfaces import Verdict
from vlreward.records import Judgment, PreferencePair, Response, same_content

Fate = Literal["improved", "not better", "no new answer", "not checked"]


class _Attempt(NamedTuple):
    """A weak row, its pair, and the pair with the new answer; or why there is none."""

    scored: Scored
    old: PreferencePair
    fate: Fate
    new: PreferencePair | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RegenerateWeak:
    """Weak rows get a new chosen answer if it is better than the old one and the rejected one.

    The new pair keeps prompt, rejected answer and origin; its judgment is the check's. Rows whose
    new answer is no better stay as they are, and so do those about which a call failed.
    """

    name: Literal["regenerate-weak"] = "regenerate-weak"
    generator: EndpointConfig
    """The model that writes the new answers; it sees the pictures and the old answer."""
    surrogate: SurrogateConfig = field(default_factory=SurrogateConfig)
    weak: Weakness = field(default_factory=Weakness)
    checker: Literal["surrogate"] | EndpointConfig = "surrogate"
    """Who must find the new answer better than both old ones: the fold's surrogate, or a judge
    model, which is asked in both orders."""
    drop_unimproved: bool = False
    """Whether a row goes whose new answer is no better and whose label the surrogate contradicts:
    its rejected answer has the higher score."""
    seed: int = 0
    """Of the folds, the surrogate's training and the new answers."""

    def __call__(self, rows: Frame, *, bench: Bench) -> Outcome:
        """What is replaced and dropped.

        Raises ConfigError where the budget does not reach, or if the surrogate orders no more pairs
        rightly than chance does: then it can neither say what is weak nor what is better.
        """
        surrogate = self._surrogate(rows, bench=bench)
        scores = surrogate.scores()
        refuse_chance(scores, recipe=self.surrogate.recipe)
        attempts = self._checked(
            self._rewritten(rows, self._weak(scores), bench=bench),
            surrogate=surrogate,
            bench=bench,
        )
        drops = [drop for one in attempts if (drop := self._drop(one)) is not None]
        gone = {drop.row for drop in drops}
        ids = {one.id for one in scores if one.row not in gone}
        return Outcome(
            drops=drops,
            added=list(_new_pairs(attempts, known=ids)),
            exhibits=[self._exhibit(scores, attempts, drops=drops, bench=bench)],
        )

    @property
    def models(self) -> list[AskedModel]:
        """The generator and, unless the surrogate checks, the checker."""
        asked = [self.generator]
        if self.checker != "surrogate":
            asked.append(self.checker)
        return [AskedModel(one, sees_pictures=True) for one in asked]

    def estimate(self, rows: Frame, *, bench: Bench) -> Estimate:
        """What new answers and their checks will take, at the most; no surrogate is trained.

        Which rows are weak is known once they are scored. Before that, as many as can be are
        counted, on rows chosen by hash, and no reply as known.
        """
        surrogate = self._surrogate(rows, bench=bench)
        if surrogate.is_known:
            weak = {one.row for one in self._weak(surrogate.scores())}
            pairs = [pair for row, pair in numbered_pairs(rows) if row in weak]
            return self._estimate(pairs, bench=bench)
        pairs = sorted(
            (pair for _, pair in numbered_pairs(rows)), key=lambda pair: hash_of(pair.id)
        )
        number = self.weak.most(len(pairs), num_folds=self.surrogate.num_folds)
        found = self._estimate(pairs[:number], bench=bench)
        return replace(found, num_calls=found.num_calls + found.num_known, num_known=0)

    def _estimate(self, pairs: Sequence[PreferencePair], *, bench: Bench) -> Estimate:
        connection = bench.connect(self.generator)
        asked = [(pair.prompt, pair.chosen) for pair in pairs]
        requests = regenerate_requests(asked, connection=connection, seed=self.seed)
        total = estimate(requests, endpoint=self.generator, journal=connection.journal)
        if self.checker == "surrogate":
            return total
        judge = bench.connect(self.checker)
        text = usual_text("regenerate", endpoint=self.generator, journal=connection.journal)
        checks = [
            replace(pair, chosen=Response(content=(f"{number} {text}",)), rejected=other)
            for number, pair in enumerate(pairs)
            for other in (pair.chosen, pair.rejected)
        ]
        asked_twice = pair_requests(checks, connection=judge)
        return total + estimate(asked_twice, endpoint=self.checker, journal=judge.journal)

    def _surrogate(self, rows: Frame, *, bench: Bench) -> Surrogate:
        return Surrogate(rows, config=self.surrogate, seed=self.seed, bench=bench)

    def _weak(self, scores: Sequence[Scored]) -> list[Scored]:
        lines = self.weak.lines(scores)
        return [
            one for one in scores if self.weak.is_low(one, lines) or self.weak.is_narrow(one, lines)
        ]

    def _rewritten(self, rows: Frame, weak: Sequence[Scored], *, bench: Bench) -> list[_Attempt]:
        """New answers for the weak rows, sorted by id; none is checked yet."""
        if not weak:
            return []
        by_row = {one.row: one for one in weak}
        found = [(by_row[row], pair) for row, pair in numbered_pairs(rows) if row in by_row]
        answers = regenerate(
            [(pair.prompt, pair.chosen) for _, pair in found],
            connection=bench.connect(self.generator),
            seed=self.seed,
            progress=bench.advance,
        )
        return [
            _attempt(scored, pair, answer)
            for (scored, pair), answer in zip(found, answers, strict=True)
        ]

    def _checked(
        self, attempts: Sequence[_Attempt], *, surrogate: Surrogate, bench: Bench
    ) -> list[_Attempt]:
        """The attempts with their fates; a new pair has the judgment of its check."""
        open_ones = [one for one in attempts if one.fate == "not checked"]
        if self.checker == "surrogate":
            name = f"surrogate by {self.surrogate.recipe}"
            checked = dict(_scored_checks(open_ones, surrogate=surrogate, name=name))
        else:
            checked = _judged_checks(open_ones, judge=self.checker, bench=bench)
        return [checked.get(one.scored.row, one) for one in attempts]

    def _drop(self, attempt: _Attempt) -> Drop | None:
        scored, margin = attempt.scored, attempt.scored.margin
        detail = f"rewards: chosen {scored.chosen:.3f}, rejected {scored.rejected:.3f}"
        if attempt.fate == "improved":
            assert attempt.new is not None, "what is improved has a new pair"
            because = attempt.new.id
            return Drop(row=scored.row, reason="chosen-regenerated", because=because, detail=detail)
        is_contradicted = margin is not None and margin < 0
        if self.drop_unimproved and attempt.fate == "not better" and is_contradicted:
            return Drop(row=scored.row, reason="surrogate-contradicted", detail=detail)
        return None

    def _exhibit(
        self,
        scores: Sequence[Scored],
        attempts: Sequence[_Attempt],
        *,
        drops: Sequence[Drop],
        bench: Bench,
    ) -> Exhibit:
        lines = self.weak.lines(scores)
        margins = [one.margin for one in scores if one.margin is not None]
        agreed = sum(margin > 0 for margin in margins)
        fates = Counter(one.fate for one in attempts)
        contradicted = sum(drop.reason == "surrogate-contradicted" for drop in drops)
        counted = {
            "scored by the surrogate": len(margins),
            "not readable for it": len(scores) - len(margins),
            "chosen answer scored above the rejected one": agreed,
            "weak: chosen answer with a low score": sum(
                self.weak.is_low(one, lines) for one in scores
            ),
            "weak: small margin": sum(self.weak.is_narrow(one, lines) for one in scores),
            "weak by either": len(attempts),
            "chosen answer replaced by a better one": fates["improved"],
            "new answer not better": fates["not better"],
            "of these dropped, as the surrogate contradicts the label": contradicted,
            "no new answer: the call failed, or it was cut": fates["no new answer"],
            "new answer that could not be checked": fates["not checked"],
        }
        plot, rewards = (bench.folder / f"{self.name}.{form}" for form in ("png", "parquet"))
        draw_scores(scores, weakness=self.weak, path=plot)
        publish_scores(scores, rewards)
        table = markdown.table(["rows", "number"], list(counted.items()))
        text = f"{table}\n\nEvery pair's rewards, by its id: `{rewards.name}`."
        return Exhibit(title="Weak pairs by a surrogate", text=text, plot=plot, table=rewards)


def _attempt(scored: Scored, old: PreferencePair, answer: Generated | Failure) -> _Attempt:
    """What came of a call; what an old answer says already is no better."""
    if isinstance(answer, Failure):
        if answer.reason == "budget":
            raise budget_spent(answer.detail)
        return _Attempt(scored, old, "no new answer")
    if answer.is_cut:
        return _Attempt(scored, old, "no new answer")
    if any(same_content(answer.response, one) for one in (old.chosen, old.rejected)):
        return _Attempt(scored, old, "not better")
    return _Attempt(scored, old, "not checked", replace(old, chosen=answer.response))


def _scored_checks(
    attempts: Sequence[_Attempt], *, surrogate: Surrogate, name: str
) -> Iterator[tuple[int, _Attempt]]:
    """Attempts that their fold's model can read, by row: its score of the new answer decides."""
    for fold in sorted({one.scored.fold for one in attempts}):
        own = [one for one in attempts if one.scored.fold == fold]
        asked = [
            (one.old.prompt, [one.new.chosen, one.old.chosen, one.old.rejected])
            for one in own
            if one.new is not None
        ]
        rewards = rewards_of(surrogate.scorer(fold), asked)
        for one, values in zip(own, rewards, strict=True):
            if values is None:
                continue
            new, chosen, rejected = values
            judgment = Judgment(kind="model", judge=name, margin=new - rejected)
            yield one.scored.row, _decided(one, judgment, is_better=new > max(chosen, rejected))


def _judged_checks(
    attempts: Sequence[_Attempt], *, judge: EndpointConfig, bench: Bench
) -> dict[int, _Attempt]:
    """Attempts on which the judge decided, by row.

    It compares the new answer with the old chosen one, then, where the new one won, with the
    rejected one: what is better than a wrong answer may be no better than the other one.
    """
    if not attempts:
        return {}
    decided: dict[int, _Attempt] = {}
    left = list(attempts)
    for against in ("chosen", "rejected"):
        asked = {
            one.scored.row: replace(one.new, rejected=getattr(one.old, against))
            for one in left
            if one.new is not None
        }
        verdicts = _verdicts(asked, judge=judge, bench=bench)
        heard = [one for one in left if one.scored.row in verdicts]
        for one in heard:
            verdict = verdicts[one.scored.row]
            judgment = Judgment(kind="model", judge=judge.model, confidence=verdict.confidence)
            decided[one.scored.row] = _decided(one, judgment, is_better=verdict.better == "first")
        for row in asked.keys() - verdicts.keys():
            decided.pop(row, None)
        left = [one for one in heard if decided[one.scored.row].fate == "improved"]
    return decided


def _verdicts(
    pairs: Mapping[int, PreferencePair], *, judge: EndpointConfig, bench: Bench
) -> dict[int, Verdict]:
    """The judge's verdicts by row, where it gave one; `first` is a pair's chosen answer."""
    judged = judge_pairs(
        list(pairs.values()), connection=bench.connect(judge), progress=bench.advance
    )
    found = {}
    for row, pair in pairs.items():
        verdict, failure = judged[pair.id].verdict, judged[pair.id].failure
        if verdict is not None:
            found[row] = verdict
        elif failure is not None and failure.reason == "budget":
            raise budget_spent(failure.detail)
    return found


def _decided(attempt: _Attempt, judgment: Judgment, *, is_better: bool) -> _Attempt:
    if not is_better or attempt.new is None:
        return attempt._replace(fate="not better")
    return attempt._replace(fate="improved", new=replace(attempt.new, judgment=judgment))


def _new_pairs(attempts: Sequence[_Attempt], *, known: set[str]) -> Iterator[PreferencePair]:
    """The pairs to add, each once; one that stays in the set anyway is not added again."""
    seen = set(known)
    for one in attempts:
        if one.fate == "improved" and one.new is not None and one.new.id not in seen:
            seen.add(one.new.id)
            yield one.new
