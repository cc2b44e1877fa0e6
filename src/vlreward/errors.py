"""What can go wrong because of an input, as typed errors with one shape.

Every error that a user can cause says what was found, where, what was expected and how to mend it.
Its class fixes the exit code of the command line.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self


class VlrewardError(Exception):
    """An input was refused.

    `code` is a stable slug for programs; `value` what was found; `place` where (file and line, row
    id, configuration key); `expected` what would have been accepted; `mend` what to do.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        code: str,
        *,
        value: object,
        place: str,
        expected: str,
        mend: str,
    ) -> None:
        self.code = code
        self.value = value
        self.place = place
        self.expected = expected
        self.mend = mend
        super().__init__(code)

    def __str__(self) -> str:
        return f"{self.place}: {self.said}"

    def __reduce__(self) -> tuple[Any, ...]:
        """What it takes to raise it in another process, too."""
        return _remade, (type(self), self.__dict__)

    @property
    def said(self) -> str:
        """The message without the place."""
        found = _shorten(self.value)
        return f"{found}; expected {self.expected}. {self.mend} [{self.code}]"

    def at(self, place: str) -> Self:
        """The same error with a more exact place in front of its own."""
        joined = f"{place}: {self.place}" if self.place else place
        return type(self)(
            self.code, value=self.value, place=joined, expected=self.expected, mend=self.mend
        )


def _remade(kind: type[VlrewardError], fields: dict[str, Any]) -> VlrewardError:
    error = kind.__new__(kind, fields["code"])
    error.__dict__.update(fields)
    return error


class ConfigError(VlrewardError):
    """A configuration or an argument is wrong."""

    exit_code = 2


class DataError(VlrewardError):
    """A row or a file of data cannot be used.

    Of a row, `row_id` is its own id, where it has one, `row_place` its place, `row_source` what its
    source is called, and `row_field` what of it is wrong; as far as whoever read it knows them.
    """

    exit_code = 3
    row_id: str | None = None
    row_place: str | None = None
    row_source: str | None = None
    row_field: str = ""


class PictureError(DataError):
    """A picture cannot be used."""


class CheckpointError(VlrewardError):
    """A model folder or a training checkpoint cannot be used."""

    exit_code = 4


class MissingExtraError(VlrewardError):
    """An optional dependency is not installed."""

    exit_code = 5


class NonFiniteError(VlrewardError):
    """Training met NaN or infinity in data, loss or gradients."""

    exit_code = 6


class EndpointError(VlrewardError):
    """A language model's endpoint refused a run (a wrong key, model or address), or is down."""

    exit_code = 7


class Interrupted(VlrewardError):
    """A signal ended the run after its state was saved (sysexits' EX_TEMPFAIL)."""

    exit_code = 75


class Waiting(VlrewardError):
    """The run cannot go on before people did their part; its state is saved (as Interrupted)."""

    exit_code = 75


def require(holds: bool, *, place: str, value: object, expected: str) -> None:  # noqa: FBT001
    """Raises ConfigError unless a configuration's value is as it must be."""
    if not holds:
        raise ConfigError(
            "config-value",
            value=value,
            place=place,
            expected=expected,
            mend="Change the value.",
        )


def _shorten(value: object, *, limit: int = 200) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
