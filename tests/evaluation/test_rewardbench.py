"""RewardBench's rows, subsets and prior sets."""

from collections import Counter

import pytest

from tests.evaluation.making import all_reward_rows, reward_counts, reward_row
from tests.sources.making import write_rows
from vlreward.errors import DataError
from vlreward.evaluation.benchmarks.catalogue import BENCHMARKS, load_benchmark
from vlreward.evaluation.config import BenchmarkConfig
from vlreward.sources.config import SourceConfig


def load(path, **settings):
    source = SourceConfig(path=str(path))
    return load_benchmark(BenchmarkConfig(name="rewardbench", source=source, **settings))


def test_a_whole_copy_reads_with_the_published_numbers(tmp_path):
    loaded = load(write_rows(tmp_path / "rows.jsonl", *all_reward_rows()))
    assert len(loaded.examples) == 2985 and loaded.notes == ()
    assert Counter(example.subset for example in loaded.examples) == reward_counts()
    sections = Counter(example.group for example in loaded.examples)
    assert sections == {"Chat": 358, "Chat Hard": 456, "Safety": 740, "Reasoning": 1431}


def test_text_is_text_and_the_chosen_response_comes_first(tmp_path):
    rows = [reward_row("math-prm", 3), reward_row("hep-go", 3)]
    one, other = load(write_rows(tmp_path / "rows.jsonl", *rows), partial=True).examples
    assert (one.id, other.id) == ("math-prm/3", "hep-go/3")
    assert one.prompt.messages[0].content == ("Do math-prm 3 with <image>.",)
    assert [response.text for response in one.responses] == ["Done.", "No <image>."]
    assert [response.model for response in one.responses] == ["good", "bad"]
    assert (one.right, one.group) == ((0,), "Reasoning")


def test_a_part_of_the_rows_is_refused_unless_that_is_meant(tmp_path):
    rows = [reward_row("hep-go", number) for number in range(164)]
    path = write_rows(tmp_path / "rows.jsonl", *rows)
    with pytest.raises(DataError, match="rows in all: 164 instead of 2985"):
        load(path)
    loaded = load(path, partial=True)
    assert len(loaded.examples) == 164
    [absent] = [note for note in loaded.notes if note.startswith("no rows of ")]
    assert "alpacaeval-easy, alpacaeval-length, " in absent and "hep-go" not in absent


def test_an_unknown_subset_is_refused_with_its_row(tmp_path):
    rows = [reward_row("hep-go", 1), reward_row("hep-zig", 1)]
    path = write_rows(tmp_path / "rows.jsonl", *rows)
    with pytest.raises(DataError, match=r"hep-zig.*RewardBench's 23 subsets"):
        load(path)
    assert [error.code for error in load(path, partial=True).refused] == ["subset-unknown"]


def test_a_folder_of_prior_sets_makes_a_fifth_section(tmp_path):
    folder = tmp_path / "prior"
    folder.mkdir()
    turn = {"role": "user", "content": "Hello"}
    reply = {"prompt": [turn], "chosen": "Hi.", "rejected": "What?", "subset": "of its own"}
    for name in ("anthropic_helpful", "anthropic_hhh", "shp"):
        write_rows(folder / f"{name}.jsonl", {**reply, "id": 1})
    write_rows(folder / "summarize-00000-of-00001.jsonl", {**reply, "id": 1})
    path = write_rows(tmp_path / "rows.jsonl", reward_row("hep-go", 1))
    loaded = load(path, prior_sets=SourceConfig(path=str(folder)), partial=True)
    assert [example.id for example in loaded.examples] == [
        "hep-go/1",
        "anthropic_helpful/1",
        "anthropic_hhh/1",
        "shp/1",
        "summarize/1",
    ]
    assert {example.group for example in loaded.examples} == {"Reasoning", "Prior Sets"}
    assert "rows of shp: 1 instead of 1741" in loaded.notes


def test_prior_sets_on_the_hub_are_its_splits():
    asked = []

    class Rows(list):
        features = None

    def load_dataset(name, subset, *, split, revision, streaming):
        asked.append((name, split))
        return Rows([reward_row("hep-go", 1)])

    config = BenchmarkConfig(
        name="rewardbench",
        prior_sets=SourceConfig(path="hub:allenai/preference-test-sets"),
        partial=True,
    )
    load_benchmark(config, load_dataset=load_dataset)
    prior = ("anthropic_helpful", "anthropic_hhh", "shp", "summarize")
    assert asked == [
        ("allenai/reward-bench", "filtered"),
        *(("allenai/preference-test-sets", split) for split in prior),
    ]
    figures = BENCHMARKS["rewardbench"].arithmetic(config).formula
    assert figures.__name__ == "figures_with_prior"


@pytest.mark.realdata
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_the_1403_true_rows_read(shared_data, kind):
    path = shared_data / "rewardbench_partial" / f"rewardbench_partial.{kind}"
    loaded = load(path, partial=True)
    assert len(loaded.examples) == 1403 and not loaded.refused
    known = reward_counts()
    found = Counter(example.subset for example in loaded.examples)
    assert len(found) == 11 and all(known[subset] == number for subset, number in found.items())
    assert Counter(example.group for example in loaded.examples) == {
        "Chat Hard": 419,
        "Reasoning": 984,
    }
    assert len({example.id for example in loaded.examples}) == 1403
    with pytest.raises(DataError, match="rows in all: 1403 instead of 2985"):
        load(path)
