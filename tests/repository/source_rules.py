"""Rules on source text that no linter of ours knows, as functions from a module to its offences."""

from __future__ import annotations

import ast
from collections.abc import Iterator

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

_UNSAFE_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
}
_UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
_UNSAFE_METHODS = {("torch", "load"), ("yaml", "load"), ("os", "system"), ("os", "popen")}
_UNSAFE_KEYWORDS = {"shell", "trust_remote_code", "allow_pickle"}


def unsafe_code(source: str) -> list[str]:
    """Where the source could run what a file or a user wrote, as `line: what`."""
    offences = [
        f"{node.lineno}: {what}"
        for node in ast.walk(ast.parse(source))
        for what in _unsafe(node)
        if isinstance(node, (ast.stmt, ast.expr))
    ]
    return sorted(offences)


def oversized(source: str) -> list[str]:
    """The file and its functions where they are longer than their limits, as `line: what`."""
    num_lines = len(source.splitlines())
    offences = [f"1: file of {num_lines} lines"] if num_lines > MAX_FILE_LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                offences.append(f"{node.lineno}: {node.name} of {length} lines")
    return offences


def imported_modules(source: str) -> set[str]:
    """The full names of all modules that the source imports, or takes names from."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            modules.add(node.module)
    return modules


def _unsafe(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    else:
        names = []
    yield from (f"import {name}" for name in names if name.split(".")[0] in _UNSAFE_MODULES)
    if isinstance(node, ast.Call):
        yield from _unsafe_call(node)


def _unsafe_call(call: ast.Call) -> Iterator[str]:
    match call.func:
        case ast.Name(id=name) if name in _UNSAFE_CALLS:
            yield f"{name}()"
        case ast.Attribute(value=ast.Name(id=module), attr=name) if (
            module,
            name,
        ) in _UNSAFE_METHODS:
            yield f"{module}.{name}()"
    for keyword in call.keywords:
        is_on = not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
        if keyword.arg in _UNSAFE_KEYWORDS and is_on:
            yield f"{keyword.arg}={ast.unparse(keyword.value)}"
