"""What is wrong with a configuration file, as errors that name line, key and remedy."""

from __future__ import annotations

import difflib
import types
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from vlreward.errors import ConfigError

KeyPath = tuple[str, ...]
Problem = tuple[KeyPath, ErrorDetails]


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """A configuration file by name, and the lines of its key paths."""

    file: str
    lines: Mapping[KeyPath, int]

    def of(self, path: KeyPath) -> str:
        """`file:line: dotted.key`, with the line of the nearest key that the file has."""
        known = path
        while known not in self.lines and known:
            known = known[:-1]
        line = f":{self.lines[known]}" if known in self.lines else ""
        key = f": {'.'.join(path)}" if path else ""
        return f"{self.file}{line}{key}"


def explain(
    error: ValidationError, values: Any, config_type: type, *, places: Places
) -> ConfigError:
    """Pydantic's complaint in our words: its first problem in full, the others by key."""
    branches = _by_branch(error.errors(include_url=False), values)
    # The branch () holds problems outside of any choice between configurations.
    problems = branches.get(()) or min(branches.values(), key=len)
    path, detail = problems[0]
    others = sorted({".".join(other) for other, _ in problems} - {".".join(path)})
    also = f" Also wrong: {', '.join(others)}." if others else ""
    if detail["type"] == "unexpected_keyword_argument":
        owners = _configs_at(config_type, path[:-1], values)
        return _unknown_key(path, owners, place=places.of(path), also=also)
    if detail["type"] == "union_tag_invalid":
        return _unknown_kind(path, detail["ctx"], places=places, also=also)
    if detail["type"] == "union_tag_not_found":
        path = (*path, detail["ctx"]["discriminator"].strip("'"))
        detail = {**detail, "type": "missing"}
    if detail["type"] == "missing":
        return ConfigError(
            "config-missing-key",
            value="nothing",
            place=places.of(path),
            expected="a value, as this key has no default",
            mend=f"Add `{path[-1]}`.{also}",
        )
    wrong = detail["input"]
    return ConfigError(
        "config-wrong-value",
        value=f"{wrong!r}" if isinstance(wrong, str) else wrong,
        place=places.of(path),
        expected=_expectation(path, detail, [one for group in branches.values() for one in group]),
        mend=f"Change the value.{also}",
    )


def located(
    error: ConfigError,
    values: Any,
    config_type: type,
    *,
    places: Places,
    complaint: Callable[[type, Any], ConfigError | None],
) -> ConfigError:
    """An own check's error with line and full key: it knows its key in its own configuration only.

    `complaint` says what a configuration class has against values, if anything.
    """
    owners = [
        path
        for path, part in _mappings(values)
        for one in _configs_at(config_type, path, values)
        if (found := complaint(one, part)) is not None and str(found) == str(error)
    ]
    path = max(owners, key=len, default=())
    key = tuple(error.place.split("."))
    depths = range(min(len(path), len(key)), -1, -1)
    shared = next(number for number in depths if path[len(path) - number :] == key[:number])
    return ConfigError(
        error.code,
        value=error.value,
        place=places.of((*path, *key[shared:])),
        expected=error.expected,
        mend=error.mend,
    )


def _mappings(values: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """All mappings in the values with their key paths."""
    if isinstance(values, dict):
        yield path, values
    parts = dict(enumerate(values)) if isinstance(values, list) else values
    if isinstance(parts, dict):
        for key, value in parts.items():
            yield from _mappings(value, (*path, str(key)))


def not_a_mapping(value: object, *, place: str) -> ConfigError:
    """A file that holds a list or a single value."""
    return ConfigError(
        "config-wrong-value",
        value=value,
        place=place,
        expected="keys with values",
        mend="Write `key: value` lines.",
    )


def not_plain(error: TypeError, *, place: str) -> ConfigError:
    """A value that JSON does not know, such as YAML's sets and binary data."""
    return ConfigError(
        "config-wrong-value",
        value=str(error),
        place=place,
        expected="texts, numbers, true, false, null, lists and mappings",
        mend="Remove YAML's tags (`!!…`).",
    )


def repeated(path: KeyPath, *, place: str, is_reference: bool) -> ConfigError:
    """A key given twice, or a value given by reference."""
    return ConfigError(
        "config-reference" if is_reference else "config-double-key",
        value=".".join(path),
        place=place,
        expected="values written out" if is_reference else "each key once",
        mend="Replace `*name` by the value." if is_reference else "Remove one of the two.",
    )


def _unknown_kind(
    path: KeyPath, context: Mapping[str, Any], *, places: Places, also: str
) -> ConfigError:
    """A name that says which of several configurations it is, and is none of theirs."""
    key, wrong = context["discriminator"].strip("'"), str(context["tag"])
    known = [name.strip("'") for name in context["expected_tags"].split(", ")]
    return ConfigError(
        "config-wrong-value",
        value=f"{wrong!r}",
        place=places.of((*path, key)),
        expected=f"one of {', '.join(known)}",
        mend=f"{_nearest(wrong, known) or 'Change the value.'}{also}",
    )


def _nearest(wrong: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(wrong, known, n=1)
    return f"Did you mean `{near[0]}`?" if near else ""


def _unknown_key(path: KeyPath, owners: Iterable[type], *, place: str, also: str) -> ConfigError:
    known = sorted({field.name for owner in owners for field in fields(owner)})
    advice = _nearest(path[-1], known) or "Remove it."
    return ConfigError(
        "config-unknown-key",
        value=path[-1],
        place=place,
        expected=f"one of the keys {', '.join(known)}",
        mend=f"{advice}{also}",
    )


def _by_branch(details: Sequence[ErrorDetails], values: Any) -> dict[KeyPath, list[Problem]]:
    """The problems with their key paths, grouped by what pydantic took the value for.

    Where a value may be one of several configurations, pydantic reports what is wrong with it as
    each of them.
    """
    branches: dict[KeyPath, list[Problem]] = defaultdict(list)
    for detail in details:
        path, branch = _split(detail["loc"], values, is_missing=detail["type"] == "missing")
        branches[branch].append((path, detail))
    return branches


def _split(
    location: Sequence[str | int], values: Any, *, is_missing: bool
) -> tuple[KeyPath, KeyPath]:
    """A location as its keys in the file and, apart, the types that pydantic put between them."""
    path: list[str] = []
    branch: list[str] = []
    at = values
    for index, step in enumerate(location):
        is_last = index == len(location) - 1
        if _holds(at, step):
            at = at[step]
            path.append(str(step))
        elif is_last and is_missing:
            path.append(str(step))
        else:
            branch.append(str(step))
    return tuple(path), tuple(branch)


def _holds(values: Any, step: str | int) -> bool:
    if isinstance(values, list):
        return isinstance(step, int) and step < len(values)
    return isinstance(values, dict) and step in values


def _configs_at(config_type: type, path: KeyPath, values: Any) -> list[type]:
    """The configuration classes that may stand at a key path, by the names that the values give."""
    candidates: list[Any] = [config_type]
    for key in path:
        values = values[int(key) if isinstance(values, list) else key]
        inner = [inner for outer in candidates for inner in _types_under(outer, key)]
        candidates = [one for one in inner if _is_named(one, values)] or inner
    return [found for found in candidates if isinstance(found, type) and is_dataclass(found)]


def _is_named(candidate: Any, values: Any) -> bool:
    """Whether the fields of a class that have but one value have it."""
    if not is_dataclass(candidate) or not isinstance(values, dict):
        return True
    hints = get_type_hints(candidate)
    only = {key: get_args(hint) for key, hint in hints.items() if get_origin(hint) is Literal}
    return all(values.get(key) in one for key, one in only.items() if len(one) == 1)


def _types_under(outer: Any, key: str) -> Iterable[Any]:
    if is_dataclass(outer):
        hints = get_type_hints(outer)
        return _alternatives(hints[key]) if key in hints else ()
    return (inner for argument in get_args(outer) for inner in _alternatives(argument))


def _alternatives(hint: Any) -> Iterable[Any]:
    if get_origin(hint) is Annotated:
        return _alternatives(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return (inner for argument in get_args(hint) for inner in _alternatives(argument))
    return (hint,)


def _expectation(path: KeyPath, detail: ErrorDetails, problems: Iterable[Problem]) -> str:
    if detail["type"] == "literal_error":
        alike = (other for at, other in problems if at == path and other["type"] == detail["type"])
        return " or ".join(dict.fromkeys(other["ctx"]["expected"] for other in alike))
    text = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return "keys with values" if text == "an object" else text
