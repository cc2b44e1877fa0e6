"""Pairs become rows of a step: none lost, prompts shared, unusable ones refused with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import tiny
from vlreward.collation.config import CollationConfig
from vlreward.collation.encoding import Encoder
from vlreward.collation.packing import PackedBatch, PaddedBatch
from vlreward.errors import DataError
from vlreward.modeling.checkpoints import RewardCheckpoint
from vlreward.modeling.encoders import encoder_for
from vlreward.records import Origin, PreferencePair
from vlreward.training.comparisons import PairRow, describe_place, find_usable, rows_of_batch


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> RewardCheckpoint:
    return tiny.load_tiny(tiny.write_base_model(tmp_path_factory.mktemp("base"), "qwen2_5_vl"))


@pytest.fixture(scope="module")
def encoder(checkpoint: RewardCheckpoint) -> Encoder:
    return encoder_for(checkpoint, CollationConfig(max_length=120))


def pair_of(prompt: str, chosen: str, rejected: str) -> PreferencePair:
    return tiny.pair(tiny.prompt(prompt), tiny.response(chosen), tiny.response(rejected))


def rows(pairs: list[PreferencePair], encoder: Encoder, **changes: object) -> list[PairRow]:
    options = {"token_budget": 1000, "packed": True, "use_margin": False} | changes
    return rows_of_batch(pairs, encoder, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("token_budget", [1, 60, 100_000])
def test_rows_hold_every_pair_exactly_once(encoder: Encoder, token_budget: int) -> None:
    pairs = [pair_of(f"Question {n}?", "Yes.", "no " * n) for n in range(1, 12)]
    found = rows(pairs, encoder, token_budget=token_budget)
    ids = [pair_id for row in found for pair_id in row.pair_ids]
    assert sorted(ids) == sorted(pair.id for pair in pairs)
    assert all(len(row.pair_ids) == len(row.chosen_P) == len(row.rejected_P) for row in found)


@pytest.mark.parametrize(("packed", "kind"), [(True, PackedBatch), (False, PaddedBatch)])
def test_each_pair_compares_its_own_two_responses(
    encoder: Encoder, packed: bool, kind: type
) -> None:
    answers = {"a": "Alpha.", "b": "Beta and more.", "c": "Gamma."}
    pairs = [pair_of("Which?", answers["a"], answers["b"]), pair_of("Who?", "He.", "She does.")]
    pairs += [pair_of("Which?", answers["c"], answers["a"])]
    [row] = rows(pairs, encoder, packed=packed)
    assert isinstance(row.batch, kind)
    lengths = dict(zip(row.pair_ids, zip(row.chosen_P, row.rejected_P, strict=True), strict=True))
    for pair in pairs:
        tree = encoder.encode(pair.prompt, [pair.chosen, pair.rejected])
        ends = [int(row.batch.score_positions[index]) for index in lengths[pair.id]]
        if packed:
            tokens = [row.batch.input_ids[0, end - 3 : end + 1].tolist() for end in ends]
        else:
            places = [int(index) for index in lengths[pair.id]]
            tokens = [
                row.batch.input_ids[place, end - 3 : end + 1].tolist()
                for place, end in zip(places, ends, strict=True)
            ]
        assert tokens == [branch.ids[-4:].tolist() for branch in tree.branches]


def test_pairs_of_one_prompt_share_its_tokens_and_their_common_responses(encoder: Encoder) -> None:
    shared = [pair_of("Which?", "Alpha.", "Beta."), pair_of("Which?", "Gamma.", "Alpha.")]
    [row] = rows(shared, encoder)
    assert len(row.batch.score_positions) == 3
    [tree] = row.batch.structure  # type: ignore[union-attr]
    assert len(tree.branches) == 3


def test_margins_count_only_where_they_are_asked_for(encoder: Encoder) -> None:
    pair = pair_of("Which?", "Alpha.", "Beta.")
    known = replace(pair, judgment=replace(pair.judgment, margin=0.5))
    other = pair_of("Who?", "He.", "She.")
    [row] = rows([known, other], encoder, use_margin=True)
    assert dict(zip(row.pair_ids, row.margin_P.tolist(), strict=True)) == {
        known.id: 0.5,
        other.id: 0.0,
    }
    [row] = rows([known, other], encoder)
    assert row.margin_P.tolist() == [0.0, 0.0]


def test_pairs_that_fit_are_usable_and_counted(encoder: Encoder) -> None:
    pairs = [pair_of("Which?", "Alpha.", "Beta."), pair_of("Who?", "He.", "She.")]
    advanced: list[None] = []
    found = find_usable(pairs, encoder, advance=lambda: advanced.append(None))
    assert (found.pairs, found.refused, found.truncated) == (pairs, [], [])
    trees = [encoder.encode(pair.prompt, [pair.chosen, pair.rejected]) for pair in pairs]
    assert found.num_tokens == sum(map(len, trees))
    assert len(advanced) == 2


def test_a_row_refused_before_stays_refused(encoder: Encoder) -> None:
    error = DataError("torn", value="x", place="f:1", expected="y", mend="z")
    found = find_usable([error, pair_of("Which?", "Alpha.", "Beta.")], encoder)
    assert found.refused == [error]
    assert len(found.pairs) == 1


def test_a_prompt_that_is_too_long_is_refused_and_a_response_is_cut(encoder: Encoder) -> None:
    too_long = pair_of("word " * 200, "Alpha.", "Beta.")
    cut = replace(
        pair_of("Which?", "Alpha " * 200, "Beta."),
        origin=Origin(source="s", row_id="r7", place="data.jsonl:7"),
    )
    found = find_usable([too_long, cut], encoder)
    assert [error.code for error in found.refused] == ["row-too-long"]
    assert found.pairs == [cut]
    [truncation] = found.truncated
    assert truncation.place == "data.jsonl:7, row r7"
    assert truncation.num_tokens > 50


def test_responses_equal_once_cut_decide_nothing_and_are_refused(encoder: Encoder) -> None:
    same_start = "Alpha " * 200
    found = find_usable([pair_of("Which?", same_start + "one", same_start + "two")], encoder)
    assert [error.code for error in found.refused] == ["pair-equal-when-truncated"]


def test_a_refusal_says_where_the_row_is(encoder: Encoder) -> None:
    pair = replace(
        pair_of("word " * 200, "Alpha.", "Beta."),
        origin=Origin(source="s", row_id="r7", place="data.jsonl:7"),
    )
    [error] = find_usable([pair], encoder).refused
    assert str(error).startswith("data.jsonl:7, row r7: ")


def test_a_place_is_file_and_line_or_the_source() -> None:
    pair = pair_of("Which?", "Alpha.", "Beta.")
    assert describe_place(pair) == f"unknown, row {pair.id}"
    origin = Origin(source="s", row_id="r7", place=str(Path("data.jsonl:7")))
    assert describe_place(replace(pair, origin=origin)) == "data.jsonl:7, row r7"
