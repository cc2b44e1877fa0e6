"""VL-RewardBench's rows, groups and numbers."""

from collections import Counter

import pytest

from tests.evaluation.making import all_vl_rows, vl_row, write_vl
from tests.sources.making import spell
from vlreward.errors import DataError
from vlreward.evaluation.benchmarks.catalogue import load_benchmark
from vlreward.evaluation.benchmarks.vl_rewardbench import group_of, swaps_by_length
from vlreward.evaluation.config import BenchmarkConfig
from vlreward.sources.config import SourceConfig


def load(path, **settings):
    source = SourceConfig(path=str(path))
    return load_benchmark(BenchmarkConfig(name="vl-rewardbench", source=source, **settings))


@pytest.mark.parametrize(
    ("row_id", "group"),
    [
        ("RLAIF-V-17", "hallucination"),
        ("RLHF-V-17", "hallucination"),
        ("hallucination_pair-17", "hallucination"),
        ("mathverse_17", "reasoning"),
        ("mmmu-17", "reasoning"),
        ("wildvision-battle-17", "general"),
        ("VLFeedback_17", "general"),
        ("rlaif-v-17", "general"),
        ("Hallucination_17", "general"),
        ("17", "general"),
    ],
)
def test_the_group_is_told_by_the_ids_beginning_in_its_own_case(row_id, group):
    assert group_of(row_id) == group


def test_a_whole_copy_reads_with_the_published_numbers(tmp_path):
    loaded = load(write_vl(tmp_path, all_vl_rows()))
    groups = Counter(example.group for example in loaded.examples)
    assert groups == {"general": 183, "hallucination": 749, "reasoning": 318}
    assert (loaded.num_rows, loaded.notes, loaded.refused) == (1250, (), ())
    subsets = Counter(example.subset for example in loaded.examples)
    assert (subsets["RLAIF"], subsets["wildvision"], subsets["VLFeedback"]) == (233, 173, 10)


def test_the_ranking_says_which_response_is_right(tmp_path):
    rows = [vl_row("mmmu_1"), vl_row("mmmu_2", first_is_better=False)]
    one, other = load(write_vl(tmp_path, rows), partial=True).examples
    assert (one.right, other.right) == ((0,), (1,))
    assert spell(one.prompt.messages[0].content) == ["[red]", "What is in mmmu_1?"]
    assert [response.text for response in other.responses] == ["A square.", "A circle, I think."]
    assert [response.model for response in other.responses] == ["one", "other"]


@pytest.mark.parametrize(
    ("query", "content"),
    [
        ("Look: <image> What?", ["Look: ", "[red]", " What?"]),
        ("<image> or <image>?", ["[red]", "<image> or <image>?"]),
    ],
)
def test_a_marker_in_the_query_holds_where_there_is_one_a_picture(tmp_path, query, content):
    rows = [vl_row("mmmu_1", query=query, response=["<image>", ""])]
    (example,) = load(write_vl(tmp_path, rows), partial=True).examples
    assert spell(example.prompt.messages[0].content) == content
    assert [response.text for response in example.responses] == ["<image>", ""]


def test_lower_cased_ids_are_other_groups_and_the_copy_is_refused(tmp_path):
    rows = [{**row, "id": str(row["id"]).lower()} for row in all_vl_rows()]
    path = write_vl(tmp_path, rows)
    with pytest.raises(DataError) as caught:
        load(path)
    assert caught.value.code == "benchmark-counts"
    assert "rows of general: 484 instead of 183" in str(caught.value)
    notes = load(path, partial=True).notes
    assert "no rows of RLAIF, RLHF" in notes
    assert "rows of hallucination: 448 instead of 749" in notes


def test_missing_rows_are_refused_and_with_a_limit_noted(tmp_path):
    path = write_vl(tmp_path, all_vl_rows()[:-1])
    with pytest.raises(DataError, match="rows in all: 1249 instead of 1250"):
        load(path)
    loaded = load(path, limit=10)
    assert "rows in all: 1249 instead of 1250" in loaded.notes
    assert (len(loaded.examples), loaded.num_rows) == (10, 1249)


def test_a_limit_takes_of_every_group_its_share_and_the_same_rows_each_time(tmp_path):
    path = write_vl(tmp_path, all_vl_rows())
    loaded = load(path, limit=125)
    assert Counter(example.group for example in loaded.examples) == {
        "general": 18,
        "hallucination": 75,
        "reasoning": 32,
    }
    assert [one.id for one in load(path, limit=125).examples] == [one.id for one in loaded.examples]
    assert loaded.notes == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"human_ranking": [0, 0]}, "ranking-unknown"),
        ({"human_ranking": None}, "field-missing"),
        ({"response": ["one"]}, "field-type"),
        ({"image": None}, "field-missing"),
        ({"image": "gone.png"}, "picture-missing"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_reason(tmp_path, changes, code):
    rows = [vl_row("mmmu_1", **changes), vl_row("mmmu_2")]
    path = write_vl(tmp_path, rows)
    loaded = load(path, partial=True)
    assert [error.code for error in loaded.refused] == [code]
    assert [example.id for example in loaded.examples] == ["mmmu_2"]
    assert str(path) in loaded.refused[0].place


def test_an_unreadable_picture_stops_a_whole_run_with_the_rows_place(tmp_path):
    rows = all_vl_rows()
    rows[7]["image"] = "gone.png"
    with pytest.raises(DataError) as caught:
        load(write_vl(tmp_path, rows))
    assert caught.value.code == "picture-missing"
    assert "rows.jsonl:8 (id 'wildvision-battle-7')" in caught.value.place


def test_an_unreadable_row_is_quoted_where_the_copy_is_refused(tmp_path):
    rows = all_vl_rows()
    rows[7]["human_ranking"] = [1, 1]
    with pytest.raises(DataError, match=r"rows that could not be read: 1.*ranking-unknown"):
        load(write_vl(tmp_path, rows))


def test_rows_of_one_id_get_ids_of_their_own(tmp_path):
    rows = [vl_row("mmmu_1"), vl_row("mmmu_1", query="Else?")]
    one, other = load(write_vl(tmp_path, rows), partial=True).examples
    assert (one.id, other.id) == ("mmmu_1", "mmmu_1#2")
    assert one.cluster != other.cluster and one.fingerprint != other.fingerprint


def test_the_other_tools_swap_where_the_lengths_sum_is_odd():
    assert [swaps_by_length(lengths) for lengths in ((3, 4), (3, 5), (0, 0))] == [
        True,
        False,
        False,
    ]


@pytest.mark.realdata
def test_the_sample_with_the_real_prefixes_has_the_right_groups(shared_data):
    path = shared_data / "format_samples" / "native_schema" / "vl_rewardbench.parquet"
    loaded = load(path, partial=True)
    groups = Counter(example.group for example in loaded.examples)
    assert groups == {"general": 8, "hallucination": 12, "reasoning": 8}
    assert all(len(example.prompt.pictures) == 1 for example in loaded.examples)
    assert Counter(example.right for example in loaded.examples) == {(0,): 14, (1,): 14}
    assert "rows in all: 28 instead of 1250" in loaded.notes
