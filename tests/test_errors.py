"""Errors say what, where, what instead and how to mend it, and fix the exit code."""

from __future__ import annotations

import pytest

from vlreward import errors
from vlreward.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    EndpointError,
    Interrupted,
    MissingExtraError,
    NonFiniteError,
    PictureError,
    VlrewardError,
    Waiting,
)


def make(kind: type[VlrewardError] = DataError, *, value: object = "blue") -> VlrewardError:
    return kind("row-colour", value=value, place="row 7", expected="red", mend="Paint it.")


def test_a_message_holds_place_value_expectation_remedy_and_code() -> None:
    assert str(make()) == "row 7: blue; expected red. Paint it. [row-colour]"


def test_a_long_value_is_cut_and_its_length_told() -> None:
    message = str(make(value="x" * 5000))
    assert "x" * 200 + "… (5000 characters)" in message
    assert len(message) < 300


def test_a_more_exact_place_goes_in_front_and_keeps_the_class() -> None:
    error = make(PictureError).at("data.jsonl:3")
    assert type(error) is PictureError
    assert str(error).startswith("data.jsonl:3: row 7: blue")


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (VlrewardError, 1),
        (ConfigError, 2),
        (DataError, 3),
        (PictureError, 3),
        (CheckpointError, 4),
        (MissingExtraError, 5),
        (NonFiniteError, 6),
        (EndpointError, 7),
        (Interrupted, 75),
        (Waiting, 75),
    ],
)
def test_exit_codes_are_fixed(kind: type[VlrewardError], exit_code: int) -> None:
    assert kind.exit_code == exit_code


def test_every_error_class_is_one_of_ours() -> None:
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    assert all(
        issubclass(one, VlrewardError) for one in classes if one.__module__ == errors.__name__
    )
