"""Configurations as files: frozen dataclasses to commented YAML and back, checked key by key.

A configuration is a dataclass of plain values, paths, literals, tuples, mappings with text keys and
further configurations. Its fields' docstrings become the comments of the file. JSON is read as
well. A configuration names the environment variable of a secret and never holds the secret.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from vlreward import configuration_errors as complaints
from vlreward.errors import ConfigError

Config = TypeVar("Config")

ABSENT = "(absent)"
_LINE_WIDTH = 100
_SIMPLE_TEXT = re.compile(r"(?:[A-Za-z_/]|\./)[A-Za-z0-9_./-]*")


class Difference(NamedTuple):
    """A dotted key at which two configurations differ, and both values (`ABSENT` for none)."""

    key: str
    first: object
    second: object


def load(path: Path, config_type: type[Config]) -> Config:
    """The configuration in a YAML or JSON file.

    Raises ConfigError, with file, line and key, on a key that is unknown, doubled, missing or of
    another type than its field: `1` is no text and `"1"` no number.
    """
    return parse(_read(path), config_type, place=str(path))


def parse(text: str, config_type: type[Config], *, place: str) -> Config:
    """`load` for a text; `place` says in errors where the text came from."""
    values, lines = _parse_values(text, place=place)
    return _validate(values, config_type, places=complaints.Places(file=place, lines=lines))


def load_plain(path: Path) -> dict[str, Any]:
    """The file's bare values, whatever configuration they once came from."""
    values, _ = _parse_values(_read(path), place=str(path))
    if not isinstance(values, dict):
        raise complaints.not_a_mapping(values, place=str(path))
    return values


def to_plain(config: object) -> dict[str, Any]:
    """The configuration as JSON has it: mappings, lists and plain values.

    Raises ConfigError if a value is not of its field's type, so that whatever is written can be
    read again.
    """
    assert is_dataclass(config) and not isinstance(config, type), "a configuration is a dataclass"
    adapter: TypeAdapter[Any] = TypeAdapter(type(config))
    values = adapter.dump_python(config, mode="json", warnings=False)
    _validate(values, type(config), places=complaints.Places(file=type(config).__name__, lines={}))
    assert isinstance(values, dict)
    return values


def to_yaml(config: object) -> str:
    """The configuration as YAML, each field's docstring a comment above it."""
    stream = io.StringIO()
    _yaml_writer().dump(_with_comments(config, to_plain(config), indent=0), stream)
    return stream.getvalue()


def to_json(config: object) -> str:
    """The configuration as JSON, indented; infinite numbers are refused by ConfigError."""
    values = to_plain(config)
    try:
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise ConfigError(
            "config-not-json",
            value="a number that is infinite or not a number",
            place=type(config).__name__,
            expected="numbers that JSON knows",
            mend="Write the configuration as YAML.",
        ) from error


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """The keys at which two plain configurations differ, in the order of the first one."""
    left, right = _flatten(first), _flatten(second)
    keys = list(left) + [key for key in right if key not in left]
    pairs = [Difference(key, left.get(key, ABSENT), right.get(key, ABSENT)) for key in keys]
    return [pair for pair in pairs if pair.first != pair.second]


@cache
def field_docs(config_type: Any) -> Mapping[str, str]:
    """The docstring under each field of a class, in one line; empty where its source is not known.

    Fields of base classes are included.
    """
    docs: dict[str, str] = {}
    for base in reversed(config_type.__mro__):
        if not is_dataclass(base):
            continue
        try:
            [tree] = ast.parse(textwrap.dedent(inspect.getsource(cast(Any, base)))).body
        except (OSError, TypeError, SyntaxError):
            continue
        assert isinstance(tree, ast.ClassDef)
        for statement, below in zip(tree.body, tree.body[1:], strict=False):
            doc = _constant_text(below)
            if isinstance(statement, ast.AnnAssign) and doc is not None:
                docs[ast.unparse(statement.target)] = " ".join(doc.split())
    return docs


def _constant_text(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        value = statement.value.value
        return value if isinstance(value, str) else None
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "config-unreadable",
            value=str(error),
            place=str(path),
            expected="a readable YAML or JSON file in UTF-8",
            mend="Check the path.",
        ) from error


def _parse_values(text: str, *, place: str) -> tuple[Any, dict[tuple[str, ...], int]]:
    """The text's values, and the line on which each key path begins; an empty text has no keys."""
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        lines = {} if root is None else _lines(root, place=place)
        values = _load_json_or_yaml(text)
    except (YAMLError, ValueError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        line = "" if mark is None else f":{mark.line + 1}"
        raise ConfigError(
            "config-unreadable",
            value=getattr(error, "problem", None) or str(error),
            place=f"{place}{line}",
            expected="YAML or JSON",
            mend="Mend the syntax; in YAML, text with `: ` or ` #` in it needs quotes.",
        ) from error
    return ({} if values is None else values), lines


def _load_json_or_yaml(text: str) -> Any:
    # YAML reads nearly all JSON, but takes an escaped surrogate pair for two characters.
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return YAML(typ="safe", pure=True).load(text)


def _lines(root: Node, *, place: str) -> dict[tuple[str, ...], int]:
    """The line, from 1, of each key path; refuses doubled keys and YAML's references.

    A reference may hold itself or grow without bound, and a configuration needs none.
    """
    lines: dict[tuple[str, ...], int] = {}
    seen: set[int] = set()

    def visit(node: Node, path: tuple[str, ...], line: int) -> None:
        if id(node) in seen or path in lines:
            raise complaints.repeated(path, place=f"{place}:{line}", is_reference=id(node) in seen)
        seen.add(id(node))
        lines[path] = line
        if isinstance(node, MappingNode):
            for key, value in node.value:
                visit(value, (*path, str(key.value)), key.start_mark.line + 1)
        elif isinstance(node, SequenceNode):
            for index, value in enumerate(node.value):
                visit(value, (*path, str(index)), value.start_mark.line + 1)

    visit(root, (), root.start_mark.line + 1)
    return lines


def _validate(values: Any, config_type: type[Config], *, places: complaints.Places) -> Config:
    # Through JSON, because pydantic's strict mode takes a list for a tuple and a text for a path
    # only there.
    try:
        text = json.dumps(values, default=_date_as_text)
        config: Config = _validator(cast(Any, config_type)).validate_json(text, strict=True)
    except ValidationError as error:
        raise complaints.explain(error, json.loads(text), config_type, places=places) from error
    except TypeError as error:
        raise complaints.not_plain(error, place=places.file) from error
    except ConfigError as error:
        raise complaints.located(
            error, json.loads(text), config_type, places=places, complaint=_complaint
        ) from error
    return config


def _complaint(config_type: type, values: Any) -> ConfigError | None:
    """What a configuration's own check has against a part of a file."""
    try:
        _validator(config_type).validate_json(json.dumps(values), strict=True)
    except ConfigError as error:
        return error
    except ValidationError:
        return None
    return None


def _date_as_text(value: object) -> str:
    """YAML takes 2026-01-31 for a date; no configuration has dates, so it was meant as text."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} of type {type(value).__name__}")


@cache
def _validator(config_type: Any) -> SchemaValidator:
    """Pydantic's validator with unknown fields forbidden at every depth.

    A TypeAdapter ignores them in standard dataclasses, and takes no configuration for those.
    """
    return SchemaValidator(_forbidding_extras(TypeAdapter(config_type).core_schema))


def _forbidding_extras(schema: Any) -> Any:
    if isinstance(schema, dict):
        out = {key: _forbidding_extras(value) for key, value in schema.items()}
        return out | {"extra_behavior": "forbid"} if out.get("type") == "dataclass-args" else out
    if isinstance(schema, (list, tuple)):
        return type(schema)(_forbidding_extras(item) for item in schema)
    return schema


def _yaml_writer() -> YAML:
    yaml = YAML()
    yaml.width = _LINE_WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(
        type(None),
        lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null"),
    )
    return yaml


def _with_comments(config: object, plain: Any, *, indent: int) -> Any:
    """The plain form of `config` as ruamel's commented collections, `config` telling the docs."""
    if isinstance(plain, dict):
        mapping = CommentedMap()
        docs = field_docs(cast(Any, type(config))) if is_dataclass(config) else {}
        for key, value in plain.items():
            part = config.get(key) if isinstance(config, Mapping) else getattr(config, key)
            mapping[_quoted(key)] = _with_comments(part, value, indent=indent + 2)
            if key in docs:
                comment = textwrap.fill(docs[key], width=_LINE_WIDTH - indent - 2)
                mapping.yaml_set_comment_before_after_key(key, before=comment, indent=indent)
        return mapping
    if isinstance(plain, list):
        assert isinstance(config, (list, tuple))
        sequence = CommentedSeq(
            _with_comments(part, value, indent=indent + 2)
            for part, value in zip(config, plain, strict=True)
        )
        if not any(isinstance(value, (dict, list)) for value in plain):
            sequence.fa.set_flow_style()
        return sequence
    return _quoted(plain) if isinstance(plain, str) else plain


def _quoted(text: str) -> str:
    # Left to itself, ruamel writes some texts that read differently: `[?0]`, carriage returns.
    return text if _SIMPLE_TEXT.fullmatch(text) else DoubleQuotedScalarString(text)


def _flatten(values: Mapping[str, Any], *, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        items = dict(enumerate(value)) if _has_collections(value) else value
        if isinstance(items, Mapping) and items:
            flat |= _flatten({str(k): v for k, v in items.items()}, prefix=f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _has_collections(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)
