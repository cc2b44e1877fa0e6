"""Multimodal RewardBench, MM-RLHF-RewardBench, and a user's own pairs and candidates."""

from collections import Counter

import pytest

from tests.sources.making import FLAT_ROW, spell, write_pictures, write_rows
from vlreward.errors import DataError
from vlreward.evaluation.benchmarks.catalogue import load_benchmark
from vlreward.evaluation.config import BenchmarkConfig
from vlreward.sources.config import SourceConfig

MULTIMODAL_ROW = {
    "ID": "mathvista_1",
    "Text": "How <image> many?",
    "Image": "red.png",
    "Output1": "Two.",
    "Output2": "Three.",
    "Better": "Output2",
    "Category": "reasoning",
}
RLHF_ROW = {
    "id": "q1",
    "prompt": "<image>\nHow many?",
    "image": "long/red.png",
    "chosen": "Two.",
    "rejected": "Three.",
}
CHOICE = {"prompt": "How many?", "responses": ["One.", "Two.", "Three."], "id": "c1"}


def load(folder, name, *rows, **settings):
    write_pictures(folder, "red", "blue")
    (folder / "long").mkdir(exist_ok=True)
    write_pictures(folder / "long", "red")
    source = SourceConfig(path=str(write_rows(folder / "rows.jsonl", *rows)))
    return load_benchmark(BenchmarkConfig(name=name, source=source, **settings))


def test_multimodal_rewardbench_reads_label_category_and_part(tmp_path):
    rows = [
        MULTIMODAL_ROW,
        {**MULTIMODAL_ROW, "ID": "EMMA-Coding_1", "Better": "Output1"},
        {**MULTIMODAL_ROW, "ID": "PAIRS_3", "Category": "safety"},
        {**MULTIMODAL_ROW, "ID": "hateful_3", "Category": "safety"},
        {**MULTIMODAL_ROW, "ID": "nocaps_3", "Category": "correctness"},
    ]
    examples = load(tmp_path, "multimodal-rewardbench", *rows, partial=True).examples
    assert [one.subset for one in examples] == [
        "reasoning/math",
        "reasoning/coding",
        "safety/bias",
        "safety/toxicity",
        "correctness",
    ]
    assert [one.right for one in examples] == [(1,), (0,), (1,), (1,), (1,)]
    assert spell(examples[0].prompt.messages[0].content) == ["How <image> many?", "[red]"]


@pytest.mark.parametrize("number", [4711, 5211])
def test_multimodal_rewardbench_has_the_papers_or_the_released_number(tmp_path, number):
    rows = [MULTIMODAL_ROW] * number
    assert load(tmp_path, "multimodal-rewardbench", *rows, limit=1).notes == ()
    with pytest.raises(DataError, match="instead of 4711 or 5211"):
        load(tmp_path, "multimodal-rewardbench", *rows[1:])


def test_an_undecided_label_is_refused(tmp_path):
    row = {**MULTIMODAL_ROW, "Better": "tie"}
    loaded = load(tmp_path, "multimodal-rewardbench", MULTIMODAL_ROW, row, partial=True)
    assert [error.code for error in loaded.refused] == ["better-unknown"]


def test_mm_rlhf_rows_of_one_id_share_a_cluster(tmp_path):
    rows = [RLHF_ROW, {**RLHF_ROW, "rejected": "Four."}, {**RLHF_ROW, "id": "q2"}]
    loaded = load(tmp_path, "mm-rlhf-rewardbench", *rows)
    assert [(one.id, one.cluster, one.group) for one in loaded.examples] == [
        ("q1", "q1", "long"),
        ("q1#2", "q1", "long"),
        ("q2", "q2", "long"),
    ]
    assert loaded.notes == ("rows in all: 3 instead of 170",)
    assert spell(loaded.examples[0].prompt.messages[0].content) == ["[red]", "\nHow many?"]


def test_mm_rlhf_rows_about_videos_are_refused_and_told(tmp_path):
    video = {**RLHF_ROW, "image": None, "video": "video/1"}
    with pytest.raises(DataError, match=r"rows that could not be read: 1.*modality-unsupported"):
        load(tmp_path, "mm-rlhf-rewardbench", RLHF_ROW, video)
    loaded = load(tmp_path, "mm-rlhf-rewardbench", RLHF_ROW, video, partial=True)
    assert (len(loaded.examples), len(loaded.refused)) == (1, 1)


def test_a_users_pairs_are_counted_by_source_and_task(tmp_path):
    rows = [
        {**FLAT_ROW, "source": "s", "task": "colours"},
        {**FLAT_ROW, "source": "s"},
        {**FLAT_ROW, "chosen": ""},
    ]
    loaded = load(tmp_path, "pairs", *rows)
    assert [(one.id, one.group, one.subset) for one in loaded.examples] == [
        ("r1", "s", "colours"),
        ("r1#2", "s", "s"),
    ]
    assert all(one.right == (0,) for one in loaded.examples)
    assert (loaded.notes, loaded.refused[0].code) == (
        ("rows that could not be read: 1",),
        "answer-empty",
    )
    assert loaded.examples[0].cluster == loaded.examples[1].cluster


def test_a_file_without_a_single_pair_is_refused(tmp_path):
    with pytest.raises(DataError, match="answer-empty"):
        load(tmp_path, "pairs", {**FLAT_ROW, "chosen": ""})


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"correct": [False, True, True]}, (1, 2)),
        ({"correct": [False, False, False]}, ()),
        ({"correct": [0, 1, 1]}, (1, 2)),
        ({"ratings": [1, 3.5, 3.5]}, (1, 2)),
        ({"ratings": [False, False, True]}, (2,)),
        ({"ratings": [False, False, False]}, ()),
        (
            {
                "responses": [
                    {"response": "One.", "correct": False, "model": "m"},
                    {"content": "Two.", "correct": True},
                ]
            },
            (1,),
        ),
    ],
)
def test_candidates_say_in_three_ways_which_are_right(tmp_path, changes, right):
    (example,) = load(tmp_path, "candidates", {**CHOICE, **changes}).examples
    assert example.right == right
    assert example.responses[1].text == "Two."


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "field-missing"),
        ({"correct": [True, False]}, "candidates-mismatch"),
        ({"ratings": [1, 2]}, "candidates-mismatch"),
        ({"correct": [1, 2, 0]}, "field-type"),
        ({"ratings": [float("nan"), 1, 2]}, "field-type"),
        ({"ratings": [1, float("inf"), 2]}, "field-type"),
        ({"ratings": [1, 10**400, 2]}, "field-type"),
        ({"ratings": ["a", "b", "c"]}, "field-type"),
        ({"responses": ["One."], "correct": [True]}, "field-type"),
        ({"responses": ["A.", "A.", "B."], "correct": [1, 0, 0]}, "candidates-contradict"),
        ({"responses": [{"correct": True}, {"correct": False}]}, "field-type"),
    ],
)
def test_candidates_that_do_not_say_it_are_refused(tmp_path, changes, code):
    good = {**CHOICE, "correct": [True, False, False]}
    loaded = load(tmp_path, "candidates", good, {**CHOICE, **changes})
    assert [error.code for error in loaded.refused] == [code]
    assert loaded.notes == ("rows that could not be read: 1",)


def test_a_file_without_a_single_choice_is_refused_with_its_first_reason(tmp_path):
    with pytest.raises(DataError, match=r"rows that could not be read: 2.*field-missing"):
        load(tmp_path, "candidates", CHOICE, CHOICE)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("vl-rewardbench", ("MMInstruction/VL-RewardBench", "test")),
        ("rewardbench", ("allenai/reward-bench", "filtered")),
        ("multimodal-rewardbench", ("syhuggingface/multimodal_rewardbench", "test")),
        ("mm-rlhf-rewardbench", ("yifanzhang114/MM-RLHF-RewardBench", "train")),
    ],
)
def test_without_a_source_a_published_benchmark_comes_from_its_place_on_the_hub(name, place):
    asked = []

    def load_dataset(path, subset, *, split, revision, streaming):
        asked.append((path, split))
        raise ConnectionError("no net")

    with pytest.raises(DataError, match="no net"):
        load_benchmark(BenchmarkConfig(name=name), load_dataset=load_dataset)
    assert asked == [place]


def test_of_a_file_with_splits_only_the_one_asked_for_is_read(tmp_path):
    rows = [{**MULTIMODAL_ROW, "ID": split, "split": split} for split in ("train", "val")]
    write_pictures(tmp_path, "red")
    path = str(write_rows(tmp_path / "rows.jsonl", *rows))
    source = SourceConfig(path=path, split="val")
    config = BenchmarkConfig(name="multimodal-rewardbench", source=source, partial=True)
    assert [example.id for example in load_benchmark(config).examples] == ["val"]


def test_a_candidates_marker_is_text_where_the_prompt_takes_the_pictures(tmp_path):
    row = {
        "prompt": "<image> How many?",
        "image": "red.png",
        "responses": ["<image>", "Two."],
        "correct": [False, True],
    }
    (example,) = load(tmp_path, "candidates", row).examples
    assert spell(example.prompt.messages[0].content) == ["[red]", " How many?"]
    assert example.responses[0].text == "<image>"
    assert (example.id, example.group) == ("1", "candidates")


@pytest.mark.realdata
def test_real_candidates_read(shared_data):
    source = SourceConfig(path=str(shared_data / "mathvision" / "candidates.jsonl"))
    loaded = load_benchmark(BenchmarkConfig(name="candidates", source=source, limit=20))
    assert loaded.num_rows == 788 and len(loaded.examples) == 20
    assert all(len(example.prompt.pictures) == 1 for example in loaded.examples)


@pytest.mark.realdata
def test_real_pairs_read_by_task(shared_data):
    source = SourceConfig(path=str(shared_data / "text" / "pairs.jsonl"))
    loaded = load_benchmark(BenchmarkConfig(name="pairs", source=source))
    assert Counter(example.subset for example in loaded.examples) == {
        "text_safety": 2303,
        "text_chat": 742,
        "text_math": 731,
    }
