"""Each benchmark's arithmetic, against recounts, published numbers and the rewardbench package."""

from __future__ import annotations

import random
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from tests.evaluation.making import (
    VL_PREFIXES,
    counted,
    outcome,
    read_json,
    reward_counts,
    scored,
    voted,
)
from vlreward.errors import ConfigError
from vlreward.evaluation.accuracy import measure
from vlreward.evaluation.benchmarks import (
    candidates,
    mm_rlhf_rewardbench,
    multimodal_rewardbench,
    pairs,
    rewardbench,
    vl_rewardbench,
)
from vlreward.evaluation.benchmarks.rewardbench import SECTIONS
from vlreward.evaluation.benchmarks.vl_rewardbench import group_of
from vlreward.evaluation.config import BenchmarkConfig
from vlreward.evaluation.marks import Bucket, Mark, Sums, tabulate

SECTION_OF = {subset: name for name, found in SECTIONS.items() for subset in found}
FIXTURE = Path(__file__).parent / "rewardbench_sections.json"


def vl_outcomes(seed: int) -> list:
    """Scores for 1,250 rows, ties among them."""
    generator = random.Random(seed)
    ids = [f"{prefix}{n}" for prefix, count in VL_PREFIXES.items() for n in range(count)]
    return [
        scored(
            row_id,
            float(generator.randint(0, 9)),
            float(generator.randint(0, 9)),
            group=group_of(row_id),
            right=(generator.randint(0, 1),),
        )
        for row_id in ids
    ]


def test_vl_rewardbench_equals_a_recount_exactly():
    rows = vl_outcomes(0)
    right = {row.id: row.scores[row.right[0]] > row.scores[1 - row.right[0]] for row in rows}
    by_group = {
        "general": [right[i] for i in right if i.startswith(("wildvision", "VLFeedback"))],
        "hallucination": [right[i] for i in right if i[:4] in ("RLAI", "RLHF", "hall")],
        "reasoning": [right[i] for i in right if i.startswith(("mathverse", "mmmu"))],
    }
    shares = {name: sum(found) / len(found) for name, found in by_group.items()}
    found = measure(rows, arithmetic=vl_rewardbench.arithmetic())
    assert found.figures == {
        **shares,
        "overall": sum(right.values()) / 1250,
        "macro": (shares["general"] + shares["hallucination"] + shares["reasoning"]) / 3,
    }
    assert found.value == found.figures["overall"]
    assert (found.protocol, found.tally.num_ties) == (None, sum(row.is_tie for row in rows))


def test_the_papers_group_accuracies_give_its_overall_and_macro():
    buckets = tuple(Bucket(name, name) for name in vl_rewardbench.GROUPS)
    number = np.array([183.0, 749.0, 318.0])
    sums = Sums(buckets=buckets, credit=number * [0.66, 0.8, 0.61], number=number)
    found = vl_rewardbench.figures(sums)
    assert (f"{found['overall']:.1%}", f"{found['macro']:.1%}") == ("73.1%", "69.0%")


def test_rewardbench_equals_its_package_exactly():
    """The fixture is made by benchmarks/interop/rewardbench_sections.py, in its environment."""
    fixture = read_json(FIXTURE)
    assert fixture["rewardbench"] == "0.1.4"
    for case in fixture["cases"]:
        counts = {name: tuple(pair) for name, pair in case["counts"].items()}
        rows = counted(counts, groups=SECTION_OF)
        found = measure(rows, arithmetic=rewardbench.arithmetic())
        for name, section in case["sections"].items():
            assert found.figures[name] == (section if section else None)
    assert [case["sections"]["Chat"] > 0 for case in fixture["cases"]] == [True, True, True, False]


def test_the_weights_are_the_rows_but_for_mathematics():
    weights = {name: n for found in SECTIONS.values() for name, n in found.items()}
    assert weights == {**reward_counts(), "math-prm": 984} == read_json(FIXTURE)["weights"]


def test_the_published_counts_of_skywork_vl_reward_7b_give_its_mean():
    counts = {
        "alpacaeval-easy": (322, 358),
        "llmbar-natural": (399, 456),
        "donotanswer": (674, 740),
        "math-prm": (411, 447),
        "hep-cpp": (901, 984),
    }
    rows = counted(counts, groups=SECTION_OF)
    # One subset stands for the section's, but code weighs as much as mathematics.
    code = [
        Mark(Bucket("Reasoning", f"hep-{name}"), name, 901 / 984)
        for name in ("go", "java", "js", "python", "rust")
    ]
    marks = [
        Mark(Bucket(row.group, row.subset), row.cluster, float(row.winner == 0)) for row in rows
    ]
    found = rewardbench.figures(tabulate([*marks, *code]).sums)
    assert {name: round(float(value), 5) for name, value in found.items()} == {
        "Chat": 0.89944,
        "Chat Hard": 0.875,
        "Safety": 0.91081,
        "Reasoning": 0.91756,
        "average": 0.9007,
    }


def test_rewardbench_has_no_average_while_a_section_is_missing():
    rows = [scored("a", 1.0, 0.0, group="Chat", subset="mt-bench-med")]
    found = measure(rows, arithmetic=rewardbench.arithmetic())
    assert found.figures == {
        "Chat": 1.0,
        "Chat Hard": None,
        "Safety": None,
        "Reasoning": None,
        "average": None,
    }


def test_prior_sets_are_a_plain_mean_of_half_weight():
    sections = {"mt-bench-med": 0.5, "mt-bench-hard": 0.75, "donotanswer": 1.0, "hep-go": 0.25}
    prior = {"anthropic_helpful": 0.6, "anthropic_hhh": 0.8, "shp": 0.7, "summarize": 0.5}
    groups = {**SECTION_OF, **dict.fromkeys(prior, "Prior Sets")}
    counts = {name: (round(share * 20), 20) for name, share in {**sections, **prior}.items()}
    counts["summarize"] = (50, 100)
    rows = counted(counts, groups=groups)
    found = measure(rows, arithmetic=rewardbench.arithmetic(with_prior=True))
    assert found.figures["Prior Sets"] == pytest.approx(fmean(prior.values()))
    expected = (2 * sum(sections.values()) + fmean(prior.values())) / 9
    assert found.figures["average"] == pytest.approx(expected)


def test_multimodal_rewardbench_counts_categories_parts_and_all():
    facts = {"a": ("safety", "safety/bias"), "b": ("safety", "safety/toxicity"), "c": ("vqa",) * 2}
    rows = [
        scored(f"{name}{n}", float(n < 2), 0.5, group=facts[name][0], subset=facts[name][1])
        for name, count in (("a", 2), ("b", 4), ("c", 3))
        for n in range(count)
    ]
    arithmetic = multimodal_rewardbench.MULTIMODAL_REWARDBENCH.arithmetic(BenchmarkConfig())
    assert measure(rows, arithmetic=arithmetic).figures == {
        "safety": 4 / 6,
        "safety/bias": 1.0,
        "safety/toxicity": 0.5,
        "vqa": 2 / 3,
        "overall": 6 / 9,
    }


def test_acc_counts_pairs_and_acc_plus_questions():
    rows = [
        scored("p", 1.0, 0.0, cluster="q1", group="long"),
        scored("q", 0.0, 1.0, cluster="q1", group="long"),
        scored("r", 1.0, 0.0, cluster="q2", group="long"),
        scored("s", 1.0, 0.0, cluster="q3", group="mcq"),
        outcome("t", failure="gone", cluster="q3", group="mcq"),
    ]
    arithmetic = mm_rlhf_rewardbench.MM_RLHF_REWARDBENCH.arithmetic(BenchmarkConfig())
    found = measure(rows, arithmetic=arithmetic)
    assert found.figures == {
        "long Acc": 2 / 3,
        "long Acc+": 0.5,
        "mcq Acc": 1.0,
        "mcq Acc+": None,
        "Acc": 3 / 4,
        "Acc+": 0.5,
    }
    assert found.tally.num_failed == 1


def test_pairs_are_counted_by_source_and_task():
    rows = [
        scored("a", 1.0, 0.0, group="s", subset="x"),
        scored("b", 0.0, 1.0, group="s", subset="y"),
        scored("c", 1.0, 0.0, group="t", subset="t"),
        scored("d", 1.0, 0.0, group="t", subset="t"),
    ]
    arithmetic = pairs.PAIRS.arithmetic(BenchmarkConfig())
    assert measure(rows, arithmetic=arithmetic).figures == {
        "s": 0.5,
        "s/x": 1.0,
        "s/y": 0.0,
        "t": 1.0,
        "overall": 0.75,
        "mean of sources": 0.75,
    }
    assert set(measure(rows[:1], arithmetic=arithmetic).figures) == {"overall"}


def test_best_of_n_stands_between_chance_and_ceiling():
    rows = [
        scored("a", 1.0, 3.0, 2.0, right=(1,)),
        scored("b", 1.0, 3.0, 2.0, right=(0, 2)),
        scored("c", 1.0, 3.0, 2.0, right=()),
    ]
    arithmetic = candidates.CANDIDATES.arithmetic(BenchmarkConfig())
    found = measure(rows, arithmetic=arithmetic).figures
    assert found == {
        "best of N": 1 / 3,
        "chance": pytest.approx((1 / 3 + 2 / 3 + 0) / 3),
        "ceiling": 2 / 3,
    }


def judged() -> list:
    return [
        voted("a", [0], group="general"),
        voted("b", [1], group="hallucination"),
        voted("c", ["unread"], group="reasoning"),
        voted("d", [0], group="reasoning"),
        outcome("e", failure="gone", group="reasoning"),
    ]


@pytest.mark.parametrize(
    ("protocol", "reasoning", "overall", "num_left_out"),
    [("official", 1.0, 2 / 3, 1), ("vlmevalkit", 0.5, 0.5, 0), (None, 1.0, 2 / 3, 1)],
)
def test_protocols_count_an_unread_reply_each_in_its_way(
    protocol, reasoning, overall, num_left_out
):
    found = measure(judged(), arithmetic=vl_rewardbench.arithmetic(), protocol=protocol)
    assert (found.figures["reasoning"], found.figures["overall"]) == (reasoning, overall)
    tally = found.tally
    assert (tally.num_rows, tally.num_failed, tally.num_left_out) == (5, 1, num_left_out)
    assert (tally.num_votes, tally.num_unparsed) == (4, 1)
    assert found.protocol == ("vlmevalkit" if protocol == "vlmevalkit" else "official, K = 1")


def test_lmms_eval_reports_the_macro_mean_alone():
    found = measure(judged(), arithmetic=vl_rewardbench.arithmetic(), protocol="lmms-eval")
    assert list(found.figures) == ["general", "hallucination", "reasoning", "macro"]
    assert found.main == "macro" and found.value == found.figures["macro"]
    scores = [scored("a", 1.0, 0.0, group="general")]
    found = measure(scores, arithmetic=vl_rewardbench.arithmetic(), protocol="lmms-eval")
    assert found.value == 1.0 and found.protocol is None


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ConfigError, match="official, vlmevalkit, lmms-eval"):
        measure([], arithmetic=vl_rewardbench.arithmetic(), protocol="mine")


def test_without_rows_there_are_no_figures():
    found = measure([], arithmetic=vl_rewardbench.arithmetic())
    assert set(found.figures.values()) == {None} and found.tally.num_rows == 0


def test_without_any_result_own_pairs_have_no_figures():
    gone = [outcome("a", failure="gone"), outcome("b", failure="gone")]
    found = measure(gone, arithmetic=pairs.PAIRS.arithmetic(BenchmarkConfig()))
    assert found.figures == {"overall": None}
