"""Intervals, paired comparison, biases, calibration, consistency and cost."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.making import outcome, scored, voted
from vlreward.errors import DataError
from vlreward.evaluation.accuracy import measure
from vlreward.evaluation.benchmarks import vl_rewardbench
from vlreward.evaluation.benchmarks.mm_rlhf_rewardbench import MM_RLHF_REWARDBENCH
from vlreward.evaluation.benchmarks.pairs import PAIRS
from vlreward.evaluation.config import BenchmarkConfig
from vlreward.evaluation.outcomes import Vote
from vlreward.evaluation.statistics.bias import length_bias, position_bias
from vlreward.evaluation.statistics.bootstrap import intervals, resample
from vlreward.evaluation.statistics.calibration import calibration
from vlreward.evaluation.statistics.consistency import order_consistency, picture_use
from vlreward.evaluation.statistics.cost import cost
from vlreward.evaluation.statistics.paired import compare, mcnemar

PLAIN = PAIRS.arithmetic(BenchmarkConfig())


def rows_of(quality: float, *, number: int = 400, seed: int = 0, repeats: int = 1) -> list:
    """Rows of which a share is right; each is there `repeats` times under one cluster."""
    generator = random.Random(seed)
    rows = [
        scored(
            f"r{n}", float(generator.random() < quality), 0.5, group="gh"[n % 2], cluster=f"c{n}"
        )
        for n in range(number)
    ]
    return [replace(row, id=f"{row.id}.{k}") for row in rows for k in range(repeats)]


def test_a_resample_draws_as_many_clusters_as_there_are():
    times = np.concatenate(list(resample(50, seed=0, num_resamples=300)))
    assert times.shape == (300, 50) and set(times.sum(axis=1)) == {50.0}
    assert abs(times.mean(axis=0) - 1).max() < 0.4


def test_the_interval_is_as_wide_as_theory_has_it():
    rows = rows_of(0.7)
    found = intervals(measure(rows, arithmetic=PLAIN))["overall"]
    value = measure(rows, arithmetic=PLAIN).value
    half = 1.96 * math.sqrt(value * (1 - value) / 400)
    assert found.low == pytest.approx(value - half, abs=0.004)
    assert found.high == pytest.approx(value + half, abs=0.004)


def test_rows_that_share_a_prompt_do_not_make_the_interval_narrower():
    once = intervals(measure(rows_of(0.7), arithmetic=PLAIN), seed=1)["overall"]
    many = intervals(measure(rows_of(0.7, repeats=5), arithmetic=PLAIN), seed=1)["overall"]
    assert many == pytest.approx(once)
    apart = [replace(row, cluster=row.id) for row in rows_of(0.7, repeats=5)]
    narrow = intervals(measure(apart, arithmetic=PLAIN), seed=1)["overall"]
    assert narrow.high - narrow.low < 0.6 * (once.high - once.low)


def test_the_interval_of_a_mean_of_groups_equals_a_loop_over_rows():
    rows = rows_of(0.6, number=40)
    found = intervals(measure(rows, arithmetic=PLAIN), seed=3, num_resamples=500)
    (times,) = resample(40, seed=3, num_resamples=500)
    drawn = []
    for line in times.astype(int):
        taken = [row for row, count in zip(rows, line, strict=True) for _ in range(count)]
        drawn.append(measure(taken, arithmetic=PLAIN).figures["mean of sources"])
    assert found["mean of sources"] == pytest.approx(np.percentile(drawn, [2.5, 97.5]))


def test_intervals_cover_every_figure_that_has_a_value():
    rows = [scored("a", 1.0, 0.0, group="general"), scored("b", 0.0, 1.0, group="general")]
    found = intervals(measure(rows, arithmetic=vl_rewardbench.arithmetic()), num_resamples=100)
    assert found["reasoning"] is None and found["macro"] is None
    assert tuple(found["overall"]) == (0.0, 1.0)


def test_questions_are_resampled_with_their_pairs():
    rows = [
        scored(f"{q}{n}", float(q % 2), 0.5, cluster=str(q), group="long")
        for q in range(20)
        for n in range(3)
    ]
    arithmetic = MM_RLHF_REWARDBENCH.arithmetic(BenchmarkConfig())
    found = intervals(measure(rows, arithmetic=arithmetic))
    assert found["Acc"] == pytest.approx(found["Acc+"])


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for seed in range(200):
        rows = rows_of(0.7, number=100, seed=seed)
        found = intervals(measure(rows, arithmetic=PLAIN), seed=seed, num_resamples=400)["overall"]
        held += found.low <= 0.7 <= found.high
    assert 178 <= held <= 199


def test_mcnemar_is_the_exact_binomial_test():
    first = [1.0] * 9 + [0.0] + [1.0] * 30 + [None]
    second = [0.0] * 9 + [1.0] + [1.0] * 30 + [1.0]
    found = mcnemar(first, second)
    assert (found.num_first_better, found.num_second_better) == (9, 1)
    assert found.p_value == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar([1.0, 0.0], [1.0, 0.0]) == (0, 0, 1.0)


def test_a_model_against_itself_differs_in_nothing():
    rows = rows_of(0.7, number=50)
    found = compare(rows, rows, arithmetic=PLAIN, num_resamples=200)
    assert set(found.differences) == {"g", "h", "overall", "mean of sources"}
    for difference in found.differences.values():
        assert difference == (0.0, (0.0, 0.0), 1.0)
    assert (found.num_rows, found.num_unmatched, found.agreement.accuracy) == (50, 0, 1.0)


def test_a_better_model_is_told_by_difference_interval_and_p():
    good, bad = rows_of(0.9, seed=1), rows_of(0.6, seed=2)
    found = compare(good, bad[:-10], arithmetic=PLAIN)
    difference = found.differences["overall"]
    assert difference.interval.low < difference.value < difference.interval.high
    assert difference.interval.low > 0.2 and difference.p_value < 0.001
    assert found.mcnemar.p_value < 1e-10
    assert (found.num_rows, found.num_unmatched) == (390, 10)
    back = compare(bad[:-10], good, arithmetic=PLAIN)
    assert back.differences["overall"].value == -difference.value
    assert back.mcnemar.num_first_better == found.mcnemar.num_second_better


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_few_prompts_never_make_p_small(number):
    """With n prompts that all differ, the least that chance can do is 2 in 2ⁿ."""
    one = [scored(f"r{n}", 1.0, 0.0, cluster=f"c{n}") for n in range(number)]
    other = [scored(f"r{n}", 0.0, 1.0, cluster=f"c{n}") for n in range(number)]
    found = compare(one, other, arithmetic=PLAIN).differences["overall"]
    assert found.value == 1.0
    assert found.p_value == pytest.approx(2 / 2**number, abs=0.02)


def test_rows_of_one_prompt_are_one_in_p_too():
    one = [scored(f"r{n}", 1.0, 0.0, cluster="c") for n in range(40)]
    other = [scored(f"r{n}", 0.0, 1.0, cluster="c") for n in range(40)]
    assert compare(one, other, arithmetic=PLAIN).differences["overall"].p_value == 1.0


def test_p_is_even_where_there_is_no_difference():
    values = [
        compare(rows_of(0.7, number=60, seed=n), rows_of(0.7, number=60, seed=1000 + n),
                arithmetic=PLAIN, num_resamples=300).differences["overall"].p_value
        for n in range(200)
    ]  # fmt: skip
    assert np.mean(np.array(values) < 0.05) == pytest.approx(0.05, abs=0.045)
    assert np.mean(np.array(values) < 0.5) == pytest.approx(0.45, abs=0.13)


def test_pairing_makes_the_interval_of_a_small_steady_difference_narrow():
    one = rows_of(0.7)
    flipped = {row.id for row in one[:12]}
    other = [replace(row, scores=(0.0, 0.5)) if row.id in flipped else row for row in one]
    interval = compare(one, other, arithmetic=PLAIN).differences["overall"].interval
    alone = intervals(measure(one, arithmetic=PLAIN))["overall"]
    assert interval.high - interval.low < 0.5 * (alone.high - alone.low)


def test_rows_left_out_of_one_count_still_resample_with_the_other():
    votes = [["unread"] if n % 3 == 0 else [int(n % 5 == 1)] for n in range(60)]
    one = [voted(f"r{n}", votes[n], group="general") for n in range(60)]
    other = [voted(f"r{n}", [n % 2], group="general") for n in range(60)]
    arithmetic = vl_rewardbench.arithmetic()
    found = compare(one, other, arithmetic=arithmetic, seed=5, num_resamples=200)
    assert found.differences["overall"].value == pytest.approx(32 / 40 - 30 / 60)
    assert found.mcnemar[:2] == (16, 4)
    drawn = []
    for times in next(resample(60, seed=5, num_resamples=200)).astype(int):
        taken = [index for index, count in enumerate(times) for _ in range(count)]
        first, second = (
            measure([rows[index] for index in taken], arithmetic=arithmetic).value
            for rows in (one, other)
        )
        drawn.append(first - second)
    expected = np.percentile(drawn, [2.5, 97.5])
    assert found.differences["overall"].interval == pytest.approx(expected)


def test_outcomes_of_other_rows_are_not_compared():
    rows = rows_of(0.7, number=5)
    changed = [replace(rows[0], fingerprint="other"), *rows[1:]]
    with pytest.raises(DataError, match=r"1 rows of other content, 'r0.0'"):
        compare(rows, changed, arithmetic=PLAIN)
    with pytest.raises(DataError, match="no row in both"):
        compare(rows, [], arithmetic=PLAIN)


def test_length_bias_of_a_scorer_that_counts_characters():
    generator = random.Random(0)
    rows = []
    for n in range(200):
        lengths = (generator.randint(1, 500), generator.randint(501, 900))[
            :: generator.choice([1, -1])
        ]
        scores = tuple(float(length) for length in lengths)
        rows.append(outcome(f"r{n}", num_characters=lengths, scores=scores, right=(n % 2,)))
    found = length_bias(rows)
    assert found.prefers_longer.accuracy == 1.0
    assert found.longer_is_right.accuracy == pytest.approx(0.5, abs=0.1)
    assert found.right_where_longer.accuracy == 1.0
    assert found.right_where_shorter.accuracy == 0.0
    assert found.correlation == pytest.approx(1.0)


def test_length_bias_leaves_out_what_it_cannot_tell():
    same = outcome("a", num_characters=(5, 5), scores=(1.0, 0.0))
    tie = outcome("b", num_characters=(5, 9), scores=(1.0, 1.0), right=(1,))
    found = length_bias([same, tie, outcome("c", num_characters=(5, 9), failure="gone")])
    assert found.prefers_longer is None and found.correlation is None
    assert found.longer_is_right[:2] == (1, 1) and found.right_where_longer is None


def vote(shown_first: int, chosen: str) -> Vote:
    """A vote of a judge that was shown response `shown_first` first, and chose by place."""
    winner = {"first": shown_first, "second": 1 - shown_first, "equal": None}[chosen]
    return Vote(bool(shown_first), winner)


def test_position_bias_of_a_judge_that_takes_the_first():
    rows = [outcome(f"r{n}", votes=(vote(n % 2, "first"),)) for n in range(10)]
    found = position_bias(rows)
    assert found.prefers_first[:2] == (10, 10)
    assert found.right_where_first[:2] == (5, 5) and found.right_where_second[:2] == (0, 5)
    assert position_bias([scored("a", 1.0, 0.0)]).prefers_first is None


def test_order_consistency_counts_verdicts_that_turn_with_the_order():
    rows = [
        outcome("steady", votes=(Vote(False, 0), Vote(True, 0))),
        outcome("first", votes=(vote(0, "first"), vote(1, "first"))),
        outcome("second", votes=(vote(0, "second"), vote(1, "second"))),
        outcome("none", votes=(vote(0, "equal"), vote(1, "equal"))),
        outcome("one order", votes=(vote(0, "first"), vote(0, "first"))),
        outcome("unread", votes=(vote(0, "first"), Vote(True, None, "no verdict"))),
        outcome("majority", votes=(*[Vote(False, 1)] * 2, Vote(False, 0), Vote(True, 1))),
    ]
    found = order_consistency(rows)
    assert found.same[:2] == (3, 5)
    assert (found.num_to_first, found.num_to_second) == (1, 1)
    assert order_consistency([scored("a", 1.0, 0.0)]) is None


def test_picture_use_is_what_shuffled_pictures_cost():
    seeing = rows_of(0.9, number=100, seed=1)
    blind = [replace(row, fingerprint="other", cluster=f"of {row.id}") for row in seeing]
    found = picture_use(seeing, blind, arithmetic=PLAIN, num_resamples=200)
    assert found.differences["overall"] == (0.0, (0.0, 0.0), 1.0)
    guessing = [replace(row, scores=(float(n % 2), 0.5)) for n, row in enumerate(blind)]
    found = picture_use(seeing, guessing, arithmetic=PLAIN, num_resamples=200)
    assert found.differences["overall"].interval.low > 0.2
    assert 0.4 < found.agreement.accuracy < 0.65


def bradley_terry(scale: float, *, number: int = 4000) -> list:
    """Pairs whose true probability is σ(margin), with margins reported `scale` times too large."""
    generator = random.Random(0)
    rows = []
    for n in range(number):
        margin = generator.gauss(0, 2)
        first_is_right = generator.random() < 1 / (1 + math.exp(-margin))
        right = (0,) if first_is_right else (1,)
        rows.append(scored(f"r{n}", margin * scale, 0.0, right=right))
    return rows


def test_true_margins_are_calibrated_and_blown_up_ones_are_not():
    true, blown = calibration(bradley_terry(1.0)), calibration(bradley_terry(4.0))
    assert true.error < 0.02 and blown.error > 0.1
    assert true.loss < blown.loss and true.brier < blown.brier
    assert sum(one.num_pairs for one in true.bins) == true.num_pairs == 4000
    for one in true.bins:
        assert one.low <= one.confidence <= one.high


def test_calibration_of_a_few_pairs_by_hand():
    rows = [scored("a", math.log(3), 0.0), scored("b", 0.0, math.log(3)), scored("c", 1.0, 1.0)]
    found = calibration(rows, num_bins=2)
    assert found.bins[0] == (0.5, 0.75, 1, 0.5, 0.5)
    assert found.bins[1] == pytest.approx((0.75, 1.0, 2, 0.75, 0.5))
    assert found.error == pytest.approx(2 / 3 * 0.25)
    assert found.brier == pytest.approx((1 / 16 + 9 / 16 + 1 / 4) / 3)
    assert found.loss == pytest.approx(-(math.log(0.75) + math.log(0.25) + math.log(0.5)) / 3)
    assert calibration([voted("a", [0])]) is None


def test_huge_margins_do_not_overflow():
    found = calibration([scored("a", 1e6, -1e6), scored("b", -1e6, 1e6)])
    assert (found.error, found.loss) == (0.5, 1e6)


def test_cost_sums_what_is_known():
    rows = [
        scored("a", 1.0, 0.0, seconds=1.0, dollars=0.01),
        scored("b", 1.0, 0.0, seconds=3.0),
        scored("c", 1.0, 0.0),
    ]
    found = cost(rows)
    assert (found.seconds.num_rows, found.seconds.total, found.seconds.median) == (2, 4.0, 2.0)
    assert found.dollars.total == 0.01 and cost(rows[2:]).dollars is None
