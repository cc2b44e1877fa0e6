"""`vlreward score`'s work: a line a row, in order, bad rows with their reasons, whole or not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny
from tests.support.training import drawn_row, write_rows
from vlreward.errors import ConfigError, DataError
from vlreward.records import Prompt, Response, Score
from vlreward.scoring import RewardModel
from vlreward.sources.spec import parse_source
from vlreward.workflows.score import score_file


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    folder = tiny.write_base_model(tmp_path_factory.mktemp("base"), "qwen2_5_vl")
    return tiny.reward_model(tiny.load_tiny(folder), max_length=200)


def row(index: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"row-{index}",
        "prompt": f"Number {index}?",
        "responses": ["Yes.", "no " * (1 + index % 9), "Perhaps."],
    } | changes


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_row_gets_a_line_in_its_order(model: RewardModel, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", *(row(index) for index in range(70)))
    output = tmp_path / "new" / "folder" / "out.jsonl"
    assert score_file(model, parse_source(str(source)), output=output) == (70, 0)
    lines = read(output)
    assert [line["id"] for line in lines] == [f"row-{index}" for index in range(70)]
    assert lines[66]["place"] == f"{source}:67"
    expected = model.score("Number 66?", row(66)["responses"])
    assert lines[66]["rewards"] == pytest.approx(expected, abs=1e-5)
    assert lines[66]["best"] == expected.index(max(expected))
    assert lines[66]["truncated_tokens"] == [0, 0, 0]
    assert [path.name for path in output.parent.iterdir()] == ["out.jsonl"]


def test_a_pairs_chosen_response_comes_first(model: RewardModel, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", drawn_row(0))
    score_file(model, parse_source(str(source)), output=tmp_path / "out.jsonl")
    [line] = read(tmp_path / "out.jsonl")
    given = drawn_row(0)
    expected = model.score(
        given["prompt"], [given["chosen"], given["rejected"]], images=[tmp_path / "red.png"]
    )
    assert line["rewards"] == pytest.approx(expected, abs=1e-6)


def test_bad_rows_say_why_and_harm_no_other(model: RewardModel, tmp_path: Path) -> None:
    bad = [
        row(1, responses=[]),
        row(2, responses=["Yes.", " "]),
        row(3, images=["nowhere.png"]),
        row(4, prompt="word " * 300),
        row(5, prompt="<image>?"),
    ]
    source = write_rows(tmp_path / "in.jsonl", row(0), *bad, row(6))
    with source.open("a") as file:
        file.write("{torn\n")
    assert score_file(model, parse_source(str(source)), output=tmp_path / "out.jsonl") == (2, 6)
    lines = read(tmp_path / "out.jsonl")
    assert [line.get("id") for line in lines[:1] + lines[6:]] == ["row-0", "row-6", None]
    assert all(len(line["rewards"]) == 3 for line in (lines[0], lines[6]))
    for number, line in enumerate(lines[1:6] + lines[7:], start=2):
        assert line["error"].keys() == {"code", "message"} and "rewards" not in line
        place = number if number < 7 else 8
        assert line["place"].startswith(f"{source}:{place}")
    assert [line["error"]["code"] for line in lines[3:6]] == [
        "picture-missing",
        "row-too-long",
        "markers-mismatch",
    ]


class _FailingModel:
    """A model whose scores end with an error after the first window."""

    def __init__(self, model: RewardModel) -> None:
        self.encoder = model.encoder
        self.calls = 0

    def score_each(
        self, comparisons: Iterable[tuple[Prompt, Sequence[Response]]]
    ) -> Iterator[list[Score]]:
        self.calls += 1
        if self.calls > 1:
            raise KeyboardInterrupt
        for _, responses in comparisons:
            yield [Score(value=0.0, num_tokens=1) for _ in responses]


def test_an_output_is_whole_or_as_it_was(model: RewardModel, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", *(row(index) for index in range(70)))
    output = tmp_path / "out" / "out.jsonl"
    output.parent.mkdir()
    output.write_text("before\n")
    with pytest.raises(KeyboardInterrupt):
        score_file(_FailingModel(model), parse_source(str(source)), output=output)  # type: ignore[arg-type]
    assert output.read_text() == "before\n"
    assert list(output.parent.iterdir()) == [output]


def test_a_missing_source_is_refused_and_nothing_written(
    model: RewardModel, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        score_file(
            model,
            parse_source(str(tmp_path / "nowhere.jsonl")),
            output=tmp_path / "out" / "x.jsonl",
        )
    assert not list(tmp_path.rglob("*.jsonl*"))


def test_a_folder_as_output_is_refused(model: RewardModel, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", row(0))
    with pytest.raises(ConfigError, match="expected the path of a file"):
        score_file(model, parse_source(str(source)), output=tmp_path)
