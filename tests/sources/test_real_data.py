"""The real data beside the checkout reads, every row of it."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.sources.making import read_all, read_pairs, write_rows
from vlreward.errors import DataError
from vlreward.sources import llava_critic
from vlreward.sources.config import SourceConfig
from vlreward.sources.files import find_files, read_rows
from vlreward.sources.read import load_comparisons
from vlreward.sources.write import write_parquet

pytestmark = pytest.mark.realdata

PAIRS = {"mathvision": 962, "blindtest": 1027, "puzzlevqa": 680, "text": 3776}


@pytest.mark.parametrize(
    "folder",
    [name if name == "text" else pytest.param(name, marks=pytest.mark.slow) for name in PAIRS],
)
def test_every_pair_reads_and_none_is_refused(shared_data, folder):
    pairs = read_pairs(shared_data / folder / "pairs.jsonl")
    assert len(pairs) == PAIRS[folder]
    assert all(pair.has_pictures == (folder != "text") for pair in pairs)


@pytest.mark.parametrize("folder", PAIRS)
def test_pairs_come_back_from_a_published_file(shared_data, tmp_path, folder):
    path = str(shared_data / folder / "pairs.jsonl")
    pairs = read_pairs(path, limit=25)
    write_parquet(pairs, tmp_path / "set.parquet")
    back = read_pairs(tmp_path / "set.parquet")
    assert back == pairs
    assert [pair.judgment for pair in back] == [pair.judgment for pair in pairs]


def test_an_answer_that_quotes_the_marker_keeps_it_as_text(shared_data, tmp_path):
    folder = shared_data / "mathvision"
    lines = (folder / "pairs.jsonl").read_bytes().splitlines()
    (line,) = (line for line in lines if b'"mathvision-2545-0"' in line)
    path = write_rows(tmp_path / "one.jsonl", line)
    (quoting,) = read_pairs(path, picture_folder=str(folder))
    assert quoting.rejected.text.count("<image>") == 4


def test_skywork_reward_preference_reads_with_its_implicit_prompt(shared_data):
    folder = shared_data / "format_samples" / "native_schema"
    pairs = read_pairs(folder / "skywork_reward_preference.parquet")
    assert len(pairs) == 120
    assert all(len(pair.prompt.messages) == 1 for pair in pairs)
    assert {pair.origin.source for pair in pairs} >= {"PandaLM/testset-v1"}


def test_rlaif_v_reads_with_its_pictures(shared_data):
    pairs = read_pairs(shared_data / "format_samples" / "native_schema" / "rlaif_v.parquet")
    assert len(pairs) == 24 and all(len(pair.prompt.pictures) == 1 for pair in pairs)


def test_llava_critics_comparisons_read_and_three_of_them_are_equal(shared_data):
    folder = shared_data / "format_samples" / "native_schema"
    found = read_all(folder / "llava_critic_pairwise.parquet")
    refused = [one.code for one in found if isinstance(one, DataError)]
    assert len(found) == 24 and refused == ["judged-equal"] * 3


def test_llava_critics_scores_read_and_answers_without_another_are_named(shared_data):
    path = shared_data / "format_samples" / "native_schema" / "llava_critic_pointwise.parquet"
    rated = [llava_critic.draft_score(raw.row) for raw in read_rows(find_files(str(path))[0])]
    assert Counter(one.ratings for one in rated) == {(90.0,): 12, (20.0,): 12}
    assert [one.code for one in read_all(path)] == ["rating-unpaired"] * 24


def test_vl_rewardbench_reads_with_its_pictures(shared_data):
    path = shared_data / "format_samples" / "native_schema" / "vl_rewardbench.parquet"
    pairs = read_pairs(path)
    raw = [one.row for one in read_rows(path)]
    assert len(pairs) == 28 and all(len(pair.prompt.pictures) == 1 for pair in pairs)
    better = [row["response"][row["human_ranking"].index(0)].strip() for row in raw]
    assert [pair.chosen.text.strip() for pair in pairs] == better
    assert [pair.origin.row_id for pair in pairs] == [row["id"] for row in raw]


@pytest.mark.parametrize(("name", "rows"), [("dpo_en_demo.json", 299), ("v1_dpo_demo.jsonl", 10)])
def test_llama_factorys_demos_read(shared_data, name, rows):
    assert len(read_pairs(shared_data / "format_samples" / "llamafactory" / name)) == rows


def test_parquet_and_json_lines_of_one_set_read_alike(shared_data):
    folder = shared_data / "rewardbench_partial"
    lines = read_pairs(folder / "rewardbench_partial.jsonl")
    assert len(lines) == 1403
    assert lines == read_pairs(folder / "rewardbench_partial.parquet")


def test_llama_factorys_demo_of_conversations_can_be_scored_and_makes_no_pairs(shared_data):
    path = str(shared_data / "format_samples" / "llamafactory" / "mllm_demo.json")
    found = load_comparisons(SourceConfig(path=path))
    rows = json.loads(Path(path).read_text())
    assert len(found) == len(rows) == 6
    for one, row in zip(found, rows, strict=True):
        assert len(one.prompt.messages) + len(one.responses) == len(row["messages"])
        assert len(list(one.prompt.pictures)) == len(row["images"])
    with pytest.raises(DataError, match="the fields") as caught:
        read_all(path)
    assert caught.value.code == "format-unknown"


def test_half_a_real_picture_costs_its_row_alone(shared_data, tmp_path):
    source = shared_data / "blindtest"
    lines = (source / "pairs.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "pairs.jsonl").write_bytes(b"".join(lines[:3]))
    (tmp_path / "images").mkdir()
    for number, pair in enumerate(read_pairs(source / "pairs.jsonl", limit=3)):
        path = next(pair.pictures).path
        data = path.read_bytes()
        cut = data[: len(data) // 2] if number == 1 else data
        (tmp_path / "images" / path.name).write_bytes(cut)
    items = read_all(tmp_path / "pairs.jsonl")
    assert [isinstance(item, DataError) for item in items] == [False, True, False]
    assert items[1].code == "picture-torn"
