"""The rules of CONTRIBUTING.md that the toolchain does not hold by itself."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

import vlreward
from tests.repository.source_rules import imported_modules, oversized, unsafe_code
from vlreward.curation.config import AnyStep

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "vlreward"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

LIGHT = [
    "recipes",
    "curation",
    "sources",
    "generation",
    "embedding",
    "world",
    "pictures",
    "runs",
    "progress",
    "durable",
    "interfaces",
    "picture_control",
    "records",
    "statistics",
    "configuration",
    "configuration_errors",
    "extras",
    "errors",
    "markdown",
    "plotting",
]
"""The parts that do without torch and transformers; some may not exist."""

LIGHT_IN_EVALUATION = [
    "accuracy",
    "benchmarks",
    "counts",
    "examples",
    "grading",
    "marks",
    "outcome_files",
    "outcomes",
    "published",
    "reading",
    "results",
    "spec",
    "statistics",
    "tables",
]
"""Of evaluation, all that counts outcomes; what makes them may need torch."""


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def exists(part: str) -> bool:
    return (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()


def light_modules() -> list[str]:
    names = [module_name(path) for path in SOURCES if path.parent != PACKAGE or path.stem in LIGHT]
    return [name for name in names if is_light(name) or name.endswith(".config")]


def is_light(module: str) -> bool:
    _, part, *rest = module.split(".")
    return part in LIGHT or (
        part == "evaluation" and rest[:1] != [] and rest[0] in LIGHT_IN_EVALUATION
    )


def package_name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=]", requirement)[0]).lower()


def heavy_modules_after(program: str) -> str:
    """Which of torch and transformers a fresh interpreter has loaded after the program."""
    check = "\nprint('LOADED', *({'torch', 'transformers'} & set(__import__('sys').modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program + check],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].removeprefix("LOADED").strip()


def project_files() -> list[Path]:
    """The files under version control or about to be; all plain ones where git is not at hand."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        folders = [ROOT / name for name in ("src", "tests", "docs", "benchmarks")]
        paths = [*ROOT.glob("*.*"), *(path for folder in folders for path in folder.rglob("*.*"))]
    else:
        paths = [ROOT / name for name in done.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and "__pycache__" not in path.parts]


@pytest.mark.parametrize(
    "path",
    [*SOURCES, *sorted((ROOT / "benchmarks").rglob("*.py"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_files_and_functions_can_be_held_in_the_head(path: Path) -> None:
    assert oversized(read(path)) == []


def test_oversized_files_and_functions_are_found() -> None:
    body = "    pass\n" * 60
    assert oversized(f"def fits():\n{body[:-9]}\nasync def long():\n{body}") == [
        "62: long of 61 lines"
    ]
    assert oversized("\n" * 401) == ["1: file of 401 lines"]


@pytest.mark.parametrize(
    "path",
    [path for path in project_files() if path.suffix == ".md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_links_in_pages_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", read(path))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (path.parent / link).exists()] == []


RUNS_FOREIGN_CODE = PACKAGE / "evaluation" / "scorers" / "remote_worker.py"
"""The one program that runs a model's own code, in a process of its own, where a user allows it."""


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path != RUNS_FOREIGN_CODE], ids=module_name
)
def test_no_source_runs_what_a_file_or_a_user_wrote(path: Path) -> None:
    assert unsafe_code(read(path)) == []


def test_one_program_runs_a_models_own_code_and_nothing_imports_it() -> None:
    whats = {offence.partition(": ")[2] for offence in unsafe_code(read(RUNS_FOREIGN_CODE))}
    assert whats == {"trust_remote_code=True"}
    name = module_name(RUNS_FOREIGN_CODE)
    assert not any(name in imported_modules(read(path)) for path in SOURCES)


@pytest.mark.parametrize(
    ("source", "offence"),
    [
        ("import pickle", "1: import pickle"),
        ("from dill import loads", "1: import dill"),
        ("import yaml", "1: import yaml"),
        ("torch.load(path)", "1: torch.load()"),
        ("x = 1\neval('1')", "2: eval()"),
        ("exec(text)", "1: exec()"),
        ("os.system('ls')", "1: os.system()"),
        ("run('ls', shell=True)", "1: shell=True"),
        ("load(name, trust_remote_code=flag)", "1: trust_remote_code=flag"),
        ("np.load(path, allow_pickle=True)", "1: allow_pickle=True"),
    ],
)
def test_unsafe_code_is_found(source: str, offence: str) -> None:
    assert unsafe_code(source) == [offence]


def test_harmless_code_is_let_through() -> None:
    assert unsafe_code("model.eval()\nload(name, trust_remote_code=False)\njson.load(file)") == []


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(read(path)))


def test_the_public_names_are_these() -> None:
    assert vlreward.__all__ == [
        "Message",
        "Picture",
        "PreferencePair",
        "Prompt",
        "Response",
        "RewardModel",
        "Score",
        "__version__",
        "train",
    ]
    assert dir(vlreward) == vlreward.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vlreward.nothing  # noqa: B018


def test_the_package_and_its_light_parts_load_without_torch() -> None:
    program = "\n".join(f"import {name}" for name in ["vlreward", *light_modules()])
    assert heavy_modules_after(program) == ""


@pytest.mark.skipif(importlib.util.find_spec("vlreward.cli") is None, reason="no command line yet")
@pytest.mark.parametrize("arguments", [None, ["--help"]])
def test_the_command_line_asks_for_torch_only_when_it_needs_it(arguments: list[str] | None) -> None:
    program = "import sys, vlreward.cli"
    if arguments is not None:
        program += (
            f"\nsys.argv = ['vlreward', *{arguments!r}]"
            "\ntry:\n    vlreward.cli.main()"
            "\nexcept SystemExit as end:\n    assert not end.code, end.code"
        )
    assert heavy_modules_after(program) == ""


def test_the_contract_without_torch_covers_every_light_part() -> None:
    [contract] = [
        contract
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract["type"] == "forbidden"
    ]
    parts = {f"vlreward.{part}" for part in LIGHT if exists(part)}
    counting = {f"vlreward.evaluation.{part}" for part in LIGHT_IN_EVALUATION}
    assert set(contract["source_modules"]) == parts | counting | {"vlreward.*.config"}


def test_recipes_import_configurations_only() -> None:
    # A step of curation is its own configuration.
    steps = (
        r"curation\.(drop_\w+|decontaminate|regenerate_weak|surrogate|weakness|mix"
        r"|compare_reasoning|simulated_annotators)"
    )
    allowed = re.compile(
        rf"vlreward\.(\w+\.config|{steps}|sources\.spec|errors|records|recipes(\.\w+)?)"
    )
    for path in sorted((PACKAGE / "recipes").glob("*.py")):
        ours = {name for name in imported_modules(read(path)) if name.startswith("vlreward")}
        assert {name for name in ours if not allowed.fullmatch(name)} == set(), path


def test_every_step_of_curation_lies_in_the_module_of_its_name() -> None:
    union, _ = get_args(AnyStep)
    names = {step.__module__: step.__dataclass_fields__["name"].default for step in get_args(union)}
    assert names
    for module, name in names.items():
        assert module == f"vlreward.curation.{name.replace('-', '_')}"


def test_every_dependency_is_pinned_torch_first() -> None:
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["test"], *extras["dev"]]
    lines = read(ROOT / "constraints.txt").splitlines()
    pinned = [package_name(line) for line in lines if not line.startswith("#")]
    assert {package_name(line) for line in wanted} - {"vlreward"} <= set(pinned)
    assert pinned[0] == "torch"


_FOREIGN = re.compile(
    r"/wor[k]/|/hom[e]/\w|/roo[t]/|/op[t]/|fil[e]:///"
    r"|\b(this|previous|next|earlier|another) sessio[n]\b|\b(helper|sub)[ -]?agen[t]",
    re.IGNORECASE,
)


def test_no_file_speaks_of_the_machine_it_was_written_on() -> None:
    found = []
    for path in project_files():
        try:
            text = read(path)
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in _FOREIGN.finditer(text)]
    assert found == []
