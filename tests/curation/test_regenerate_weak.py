"""RegenerateWeak with a surrogate that is played, and endpoints asked over HTTP."""

from dataclasses import dataclass, field, replace

import pyarrow.parquet as pq
import pytest

from tests.curation.judging import bench, judge_at
from tests.curation.making import pair as plain_pair
from tests.curation.making import reasons
from tests.support.endpoint import pairs as world_pairs
from tests.support.endpoint import truth
from vlreward import configuration
from vlreward.curation.config import CurateConfig
from vlreward.curation.pipeline import curate, rehearse
from vlreward.curation.regenerate_weak import RegenerateWeak
from vlreward.curation.rows import hash_of
from vlreward.curation.surrogate import Scored, SurrogateConfig, refuse_chance, rewards_of
from vlreward.curation.weakness import Weakness
from vlreward.curation.working_set import pairs_of, read_in, rows_of
from vlreward.errors import ConfigError, DataError, NonFiniteError
from vlreward.evaluation.scorers.protocols import PatientScorer
from vlreward.generation.estimate import Estimate
from vlreward.pictures import PictureStore, stored
from vlreward.progress import Progress
from vlreward.recipes.curation import second_stage_steps
from vlreward.records import Judgment, Response, Score
from vlreward.world.answers import REFUSALS
from vlreward.world.endpoint.config import FaultRates, WorldEndpointConfig
from vlreward.world.endpoint.server import WorldEndpoint
from vlreward.world.endpoint.truth import RANKS

NUM_PAIRS = 42
NARROW = Weakness(chosen_quantile=0, margin_quantile=0, min_margin=0.5)
REFUSAL = REFUSALS[0]
UNREADABLE = DataError("row-too-long", value=1, place="row", expected="0", mend="Cut it.")


@dataclass
class Fitter:
    """A surrogate that knows how good answers of the world are; it notes what it is given."""

    unreadable: str = "nothing has this text"
    fits: list = field(default_factory=list)
    scored: list = field(default_factory=list)

    def __call__(self, recipe, *, model, folder):
        return self

    def fit(self, pairs, *, seed):
        self.fits.append([one.prompt for one in pairs])
        return Scorer(self, self.fits[-1])


@dataclass
class Scorer:
    fitter: Fitter
    seen: list

    def score_each(self, comparisons):
        for prompt, responses in comparisons:
            if any(one.text == self.fitter.unreadable for one in responses):
                yield UNREADABLE
                continue
            assert prompt not in self.seen, "a prompt was trained on"
            self.fitter.scored.append(prompt)
            yield [Score(value=self.value(prompt, one), num_tokens=1) for one in responses]

    def value(self, prompt, response):
        subject = truth().shown(tuple(one.sha256 for one in prompt.pictures))
        problem = subject.problems[prompt_text(prompt)]
        rank = RANKS[problem.qualities.get(response.text, "refusal")]
        return rank * (1 + hash_of(str(prompt)) * 1e-20)


def prompt_text(prompt):
    return "".join(one for one in prompt.messages[-1].content if isinstance(one, str))


@pytest.fixture
def rows(tmp_path):
    """Pairs of a right and a wrong answer; every fourth one refuses, every third one is swapped."""
    store = PictureStore(tmp_path / "pictures")
    about_truth = [
        one.pair
        for one in world_pairs()
        if (one.chosen, one.rejected) == ("right", "wrong") and one.asked
    ]
    made = []
    for number, pair in enumerate(about_truth[:: len(about_truth) // NUM_PAIRS][:NUM_PAIRS]):
        shown = stored(pair, store)
        if number % 4 == 0:
            shown = replace(shown, chosen=Response(content=(REFUSAL,)))
        elif number % 3 == 0:
            shown = shown.swapped()
        origin = replace(shown.origin, place=str(number))
        made.append(replace(shown, judgment=Judgment(kind="human"), origin=origin))
    return made


REFUSING = {str(number) for number in range(0, NUM_PAIRS, 4)}
SWAPPED = {str(number) for number in range(0, NUM_PAIRS, 3)} - REFUSING


def generator(endpoint, **settings):
    return replace(judge_at(endpoint.base_url), model="world-vlm", **settings)


def run(tmp_path, rows, endpoint, fitter, *, max_dollars=None, by_judge=False, **settings):
    if not (tmp_path / "read").exists():
        read_in([("world", rows)], tmp_path / "read")
    checker = judge_at(endpoint.base_url) if by_judge else "surrogate"
    step = RegenerateWeak(
        **{"generator": generator(endpoint), "checker": checker, "weak": NARROW} | settings
    )
    with bench(tmp_path, max_dollars=max_dollars, fitters=fitter) as made, Progress() as progress:
        return curate(rows_of(tmp_path / "read"), steps=[step], bench=made, progress=progress)


def counts(out):
    """The numbers of the exhibit's table."""
    lines = [one for one in out.exhibits[0].text.splitlines()[2:] if one.startswith("|")]
    return {line.split("|")[1].strip(): int(line.split("|")[2]) for line in lines}


@pytest.mark.parametrize("by_judge", [False, True])
def test_weak_answers_are_replaced_by_better_ones_and_by_no_others(tmp_path, rows, by_judge):
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        out = run(tmp_path, rows, endpoint, Fitter(), by_judge=by_judge)
    # A right answer is better than a swapped pair's wrong one, but not than its rejected one.
    assert reasons(out.entries) == dict.fromkeys(REFUSING, "chosen-regenerated")
    kept = {one.origin.place: one for one in pairs_of(out.rows)}
    assert len(kept) == NUM_PAIRS
    because = {entry.place: entry.because for entry in out.entries}
    for place, old in ((one.origin.place, one) for one in rows):
        new = kept[place]
        assert (new.prompt, new.rejected, new.origin) == (old.prompt, old.rejected, old.origin)
        if place not in REFUSING:
            assert new == old and new.judgment == old.judgment
            continue
        assert new.id == because[place] and new.chosen.text != REFUSAL
        assert new.chosen.model == "world-vlm" and new.judgment.kind == "model"
        if by_judge:
            assert new.judgment.judge == "world-judge" and new.judgment.confidence > 0.5
        else:
            assert (
                new.judgment.judge == "surrogate by skywork-vl"
                and new.judgment.margin == pytest.approx(3.0, abs=0.01)
            )
    found = counts(out)
    assert found["weak by either"] == len(REFUSING) + len(SWAPPED)
    assert found["chosen answer replaced by a better one"] == len(REFUSING)


def test_pairs_that_the_surrogate_contradicts_go_on_request(tmp_path, rows):
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        out = run(tmp_path, rows, endpoint, Fitter(), drop_unimproved=True)
    assert reasons(out.entries) == {
        **dict.fromkeys(REFUSING, "chosen-regenerated"),
        **dict.fromkeys(SWAPPED, "surrogate-contradicted"),
    }
    found = counts(out)
    assert found["of these dropped, as the surrogate contradicts the label"] == len(SWAPPED)


def test_each_row_is_scored_once_by_a_model_that_has_not_seen_its_prompt(tmp_path, rows):
    again = [replace(one, chosen=Response(content=("Nothing.",))) for one in rows[:6]]
    again = [
        replace(one, origin=replace(one.origin, place=f"again {n}")) for n, one in enumerate(again)
    ]
    fitter = Fitter()
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        run(tmp_path, [*rows, *again], endpoint, fitter, by_judge=True)
    assert len(fitter.fits) == 2 and min(map(len, fitter.fits)) > 10
    assert sum(map(len, fitter.fits)) == len(fitter.scored) == len(rows) + 6
    scores = pq.read_table(tmp_path / "work" / "01-regenerate-weak" / "scores")
    assert scores.num_rows == len(rows) + 6
    assert {"row", "id", "fold", "chosen", "rejected"} <= set(scores.column_names)


def test_the_published_scores_are_the_same_in_any_order_of_reading(tmp_path, rows):
    twice = [replace(rows[1], origin=replace(rows[1].origin, place="again")), *rows]
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        one, other = (
            run(tmp_path / name, order, endpoint, Fitter(unreadable=rows[5].rejected.text))
            for name, order in (("one", twice), ("other", twice[::-1]))
        )
    published = one.exhibits[0].table
    assert published.read_bytes() == other.exhibits[0].table.read_bytes()
    found = pq.read_table(published)
    assert found.column_names == ["id", "fold", "chosen", "rejected"]
    assert found["id"].to_pylist() == sorted(pair.id for pair in twice)


def test_what_an_earlier_start_scored_and_wrote_is_not_done_again(tmp_path, rows):
    fitter = Fitter()
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        first = run(tmp_path, rows, endpoint, fitter, by_judge=True)
        (tmp_path / "work" / "01-regenerate-weak" / "found.json").unlink()
        again = run(tmp_path, rows, endpoint, fitter, by_judge=True)
        assert set(endpoint.bill.answered.values()) == {1}
    assert len(fitter.fits) == 2 and again.entries == first.entries
    assert list(pairs_of(again.rows)) == list(pairs_of(first.rows))


def test_a_row_about_which_a_call_failed_stays(tmp_path, rows):
    faults = FaultRates(refusal=0.4)
    with WorldEndpoint(truth(), WorldEndpointConfig(faults=faults)) as endpoint:
        out = run(tmp_path, rows, endpoint, Fitter(), by_judge=True, drop_unimproved=True)
    found = counts(out)
    failed = "no new answer: the call failed, or it was cut"
    assert found[failed] > 0 and found["new answer that could not be checked"] > 0
    fates = ["chosen answer replaced by a better one", "new answer not better", failed]
    assert (
        sum(found[one] for one in (*fates, "new answer that could not be checked"))
        == (found["weak by either"])
    )
    assert (
        len(out.entries)
        == found[fates[0]] + found["of these dropped, as the surrogate contradicts the label"]
    )


def test_an_answer_that_says_the_same_replaces_nothing(tmp_path, rows):
    right = [one for one in rows if one.origin.place not in REFUSING | SWAPPED]
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        out = run(tmp_path, right, endpoint, Fitter(), weak=Weakness(chosen_quantile=1.0))
    found = counts(out)
    assert out.entries == [] and found["weak by either"] == len(right)
    assert found["new answer not better"] == len(right)


def test_rows_that_the_surrogate_cannot_read_stay_and_are_counted(tmp_path, rows):
    fitter = Fitter(unreadable=rows[5].rejected.text)
    unread = sum(fitter.unreadable in (one.chosen.text, one.rejected.text) for one in rows)
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        out = run(tmp_path, rows, endpoint, fitter, by_judge=True)
    found = counts(out)
    assert found["not readable for it"] == unread > 0
    assert found["scored by the surrogate"] == NUM_PAIRS - unread
    assert "5" not in reasons(out.entries)


def test_the_cap_stops_the_run_and_a_larger_one_goes_on_where_it_was(tmp_path, rows):
    fitter = Fitter()
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        with pytest.raises(ConfigError, match="run again with a larger") as caught:
            run(tmp_path, rows, endpoint, fitter, max_dollars=0.02, by_judge=True)
        assert caught.value.code == "budget-spent" and len(fitter.fits) == 2
        run(tmp_path, rows, endpoint, fitter, max_dollars=5.0, by_judge=True)
        assert set(endpoint.bill.answered.values()) == {1} and len(fitter.fits) == 2


def test_a_rehearsal_neither_asks_nor_trains(tmp_path, rows):
    read_in([("world", rows)], tmp_path / "read")
    fitter = Fitter()
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        weak = Weakness(chosen_quantile=0.1, margin_quantile=0.15)
        steps = [
            RegenerateWeak(
                generator=generator(endpoint), checker=judge_at(endpoint.base_url), weak=weak
            )
        ]
        table = rows_of(tmp_path / "read")
        with bench(tmp_path, fitters=fitter) as made, Progress() as progress:
            before = rehearse(table, steps=steps, bench=made, progress=progress)
            assert not endpoint.bill.answered and not fitter.fits
            curate(table, steps=steps, bench=made, progress=progress)
            done = len(endpoint.bill.answered)
            after = rehearse(table, steps=steps, bench=made, progress=progress)
    # A tenth and .15 of 42 rows in two folds, each one answer and two comparisons in both orders.
    most = before["regenerate-weak"].num_calls
    assert most == (6 + 8) * 5 and before["regenerate-weak"].dollars > 0
    assert 0 < done <= most and after == {"regenerate-weak": Estimate()}


def test_a_set_without_rows_needs_no_surrogate(tmp_path):
    fitter = Fitter()
    with WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint:
        out = run(tmp_path, [], endpoint, fitter)
    assert out.entries == [] and fitter.fits == []


def test_one_prompt_cannot_be_scored_out_of_fold(tmp_path):
    one = [plain_pair(place="a"), plain_pair(chosen="Four.", place="b")]
    with (
        WorldEndpoint(truth(), WorldEndpointConfig()) as endpoint,
        pytest.raises(DataError, match="set num_folds to 1"),
    ):
        run(tmp_path, one, endpoint, Fitter())


def scored(fold, *rewards):
    return [
        Scored(row=n, id=str(n), fold=fold, chosen=chosen, rejected=rejected)
        for n, (chosen, rejected) in enumerate(rewards)
    ]


def test_shares_are_taken_within_each_fold():
    low = scored(0, *((n, 0.0) for n in range(1, 11)))
    high = scored(1, *((100.0 + n, 100.0 - n) for n in range(1, 6)))
    weak = Weakness(chosen_quantile=0.2, margin_quantile=0)
    lines = weak.lines([*low, *high])
    assert [one.chosen for one in [*low, *high] if weak.is_low(one, lines)] == [1, 2, 101]
    assert not any(weak.is_narrow(one, lines) for one in [*low, *high])


def test_margins_are_weak_by_share_or_below_a_threshold():
    rows = [*scored(0, (5.0, 4.0), (1.0, 1.5), (3.0, 0.0), (2.0, 1.9)), *scored(1, (None, None))]
    by_share = Weakness(chosen_quantile=0, margin_quantile=0.5)
    below = Weakness(chosen_quantile=0, margin_quantile=0, min_margin=0.0)
    for weak, expected in ((by_share, [1.0, 2.0]), (below, [1.0])):
        lines = weak.lines(rows)
        assert [one.chosen for one in rows if weak.is_narrow(one, lines)] == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"chosen_quantile": 1.5},
        {"margin_quantile": -0.1},
        {"chosen_quantile": 0, "margin_quantile": 0},
    ],
)
def test_shares_that_cannot_be_are_refused(settings):
    with pytest.raises(ConfigError):
        Weakness(**settings)
    with pytest.raises(ConfigError, match="num_folds"):
        SurrogateConfig(num_folds=0)


def test_a_second_stage_can_be_written_and_read_again():
    endpoint = judge_at("http://127.0.0.1:9/v1")
    for checker in (None, endpoint):
        steps = second_stage_steps(
            generator=endpoint,
            judge=checker,
            recipe="miniature",
            max_rows=100,
            modality_shares={"picture": 0.7, "text": 0.3},
        )
        config = CurateConfig(output="x", data=(), steps=steps)
        text = configuration.to_yaml(config)
        assert configuration.parse(text, CurateConfig, place="x") == config


def scored_pairs(*, num_right, num_all):
    return [
        Scored(row=n, id=str(n), fold=0, chosen=1.0, rejected=0.0 if n < num_right else 2.0)
        for n in range(num_all)
    ]


@pytest.mark.parametrize(("num_right", "num_all"), [(50, 101), (520, 1000), (10, 400)])
def test_a_surrogate_that_orders_as_chance_does_changes_nothing(num_right, num_all):
    with pytest.raises(ConfigError, match="clearly more than half"):
        refuse_chance(scored_pairs(num_right=num_right, num_all=num_all)[:-1], recipe="miniature")


@pytest.mark.parametrize(("num_right", "num_all"), [(65, 100), (1, 99), (560, 1000)])
def test_a_surrogate_that_knows_something_or_cannot_be_told_from_chance_goes_on(num_right, num_all):
    refuse_chance(scored_pairs(num_right=num_right, num_all=num_all), recipe="miniature")


class ReadsAhead(PatientScorer):
    """Encodes all comparisons before it gives the first outcome, and notes what it encodes."""

    def __init__(self, *outcomes):
        self.outcomes = outcomes
        self.encoded = []

    def score_each(self, comparisons):
        self.encoded += comparisons
        yield from self.outcomes


def test_rows_that_cannot_be_read_cost_no_other_row_a_second_pass():
    score = [Score(value=1.0, num_tokens=1)]
    scorer = ReadsAhead(score, UNREADABLE, score, UNREADABLE, UNREADABLE, score)
    asked = [(plain_pair(f"{number}?").prompt, []) for number in range(6)]
    assert list(rewards_of(scorer, asked)) == [[1.0], None, [1.0], None, None, [1.0]]
    assert scorer.encoded == asked


def test_a_surrogate_that_diverged_ends_the_step():
    diverged = NonFiniteError("reward-not-finite", value=1, place="", expected="", mend="")
    with pytest.raises(NonFiniteError):
        list(rewards_of(ReadsAhead(diverged), [(plain_pair().prompt, [])]))
