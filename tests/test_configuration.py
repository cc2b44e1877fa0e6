"""Configurations go to YAML and back, and a wrong file is refused with line, key and remedy."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vlreward import configuration
from vlreward.configuration import ABSENT, Difference
from vlreward.curation.config import CurateConfig
from vlreward.errors import ConfigError
from vlreward.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimizer:
    """How weights move."""

    learning_rate: float = 1e-5
    """Peak learning rate (our choice; nobody published one), a help text that is long enough to
    need a second line even in a wide file."""
    betas: tuple[float, float] = (0.9, 0.95)
    warmup: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DropSimilar:
    """A step."""

    kind: Literal["drop_similar"] = "drop_similar"
    threshold: float = 0.95
    """Nearest neighbours above this cosine go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DropShort:
    """Another step."""

    kind: Literal["drop_short"] = "drop_short"
    min_words: int = 3
    optimizer: Optimizer = field(default_factory=Optimizer)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A whole configuration."""

    output: Path
    """Where results go."""
    seed: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    resume: bool = True
    optimizer: Optimizer = field(default_factory=Optimizer)
    """The optimizer."""
    stages: tuple[Optimizer, ...] = ()
    steps: tuple[DropSimilar | DropShort, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(
                "seed-negative", value=self.seed, place="seed", expected="0 or more", mend="Ask."
            )


finite = st.floats(allow_nan=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
optimizers = st.builds(
    Optimizer, learning_rate=finite, betas=st.tuples(finite, finite), warmup=st.none() | finite
)
steps = st.one_of(
    st.builds(DropSimilar, threshold=finite),
    st.builds(DropShort, min_words=st.integers(), optimizer=optimizers),
)
runs = st.builds(
    Run,
    output=texts.map(Path),
    seed=st.integers(min_value=0),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    resume=st.booleans(),
    optimizer=optimizers,
    stages=st.lists(optimizers, max_size=3).map(tuple),
    steps=st.lists(steps, max_size=3).map(tuple),
    weights=st.dictionaries(texts, finite, max_size=3),
    names=st.lists(texts, max_size=3).map(tuple),
    limit=st.none() | st.integers(),
)


def refusal(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        configuration.parse(text, Run, place="run.yaml")
    return caught.value


@settings(max_examples=50)
@given(run=runs)
@example(run=Run(output=Path("o"), weights={"r\ra:b": 1.0}, names=("?0",)))
def test_what_is_written_as_yaml_is_read_back_equal(run: Run) -> None:
    assert configuration.parse(configuration.to_yaml(run), Run, place="run.yaml") == run


@settings(max_examples=25)
@given(run=runs)
def test_writing_what_was_read_gives_the_same_bytes(run: Run) -> None:
    text = configuration.to_yaml(run)
    again = configuration.to_yaml(configuration.parse(text, Run, place="run.yaml"))
    assert again == text


def test_what_is_written_as_json_is_read_back_equal(tmp_path: Path) -> None:
    run = Run(output=Path("out"), names=("naïve", "😀", "tab\t"), steps=(DropShort(),))
    path = tmp_path / "run.json"
    path.write_text(configuration.to_json(run), encoding="utf-8")
    assert configuration.load(path, Run) == run


def test_an_escaped_surrogate_pair_in_json_is_one_character() -> None:
    text = json.dumps({"output": "o", "names": ["😀"]}, ensure_ascii=True)
    assert configuration.parse(text, Run, place="run.json").names == ("😀",)


def test_yaml_carries_each_fields_docstring_above_it() -> None:
    text = configuration.to_yaml(Run(output=Path("out")))
    assert text.startswith("# Where results go.\noutput: out\nseed: 0\n")
    assert (
        "# The optimizer.\n"
        "optimizer:\n"
        "  # Peak learning rate (our choice; nobody published one), a help text that is long"
    ) in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_steps_in_a_list_carry_their_comments_too() -> None:
    text = configuration.to_yaml(Run(output=Path("out"), steps=(DropSimilar(),)))
    assert "    # Nearest neighbours above this cosine go.\n    threshold: 0.95\n" in text


def test_fields_of_a_base_class_keep_their_docstrings() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Base:
        """A base."""

        width: int = 1
        """How wide."""

    @dataclass(frozen=True, kw_only=True)
    class Derived(Base):
        """A derived one."""

        height: int = 1
        """How
        high."""

    assert configuration.field_docs(Derived) == {"width": "How wide.", "height": "How high."}


def test_a_class_without_source_has_no_field_docstrings() -> None:
    assert configuration.field_docs(int) == {}


def test_keys_left_out_keep_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("output: here\noptimizer:\n  learning_rate: 2e-6\n")
    expected = Run(output=Path("here"), optimizer=Optimizer(learning_rate=2e-6))
    assert configuration.load(path, Run) == expected


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            "output: o\noptimizer:\n  learning_rat: 1\n",
            "run.yaml:3: optimizer.learning_rat",
            "Did you mean `learning_rate`?",
        ),
        ("output: o\nzzz: 1\n", "run.yaml:2: zzz", "Remove it."),
        (
            "output: o\nstages:\n  - {}\n  - lr: 1\n",
            "run.yaml:4: stages.1.lr",
            "betas, learning_rate, warmup",
        ),
        (
            "output: o\nsteps:\n  - kind: drop_short\n    min_word: 3\n",
            "run.yaml:4: steps.0.min_word",
            "Did you mean `min_words`?",
        ),
        (
            "output: o\nsteps:\n  - kind: drop_short\n    optimizer:\n      beta: 1\n",
            "run.yaml:5: steps.0.optimizer.beta",
            "Did you mean `betas`?",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_name(
    text: str, place: str, message: str
) -> None:
    error = refusal(text)
    assert error.code == "config-unknown-key"
    assert error.place == place
    assert message in str(error)


@pytest.mark.parametrize(
    ("line", "place", "value", "expected"),
    [
        ("seed: '1'", "run.yaml:2: seed", "'1'", "a valid integer"),
        ("seed: 1.0", "run.yaml:2: seed", 1.0, "a valid integer"),
        ("seed: true", "run.yaml:2: seed", True, "a valid integer"),
        ("resume: 1", "run.yaml:2: resume", 1, "a valid boolean"),
        ("names: [1]", "run.yaml:2: names.0", 1, "a valid string"),
        ("dtype: float16", "run.yaml:2: dtype", "'float16'", "'float32' or 'bfloat16'"),
        ("optimizer: 3", "run.yaml:2: optimizer", 3, "keys with values"),
        ("optimizer:", "run.yaml:2: optimizer", None, "keys with values"),
        ("weights: {a: b}", "run.yaml:2: weights.a", "'b'", "a valid number"),
        ("weights: {1: b}", "run.yaml:2: weights.1", "'b'", "a valid number"),
        ("optimizer:\n  betas: [1]", "run.yaml:3: optimizer.betas.1", "nothing", "a value"),
        ("steps: [{kind: x}]", "run.yaml:2: steps.0.kind", "'x'", "'drop_similar' or 'drop_short'"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_line(
    line: str, place: str, value: object, expected: str
) -> None:
    error = refusal(f"output: o\n{line}\n")
    assert error.place == place
    assert error.value == value
    assert expected in error.expected


def test_a_missing_key_is_named() -> None:
    error = refusal("seed: 1\n")
    assert error.code == "config-missing-key"
    assert error.place == "run.yaml:1: output"
    assert "Add `output`." in error.mend


def test_an_empty_file_lacks_the_keys_without_default() -> None:
    assert refusal("# nothing\n").code == "config-missing-key"


def test_the_other_wrong_keys_are_named_too() -> None:
    assert "Also wrong: resume, seed." in refusal("output: 1\nseed: x\nresume: y\n").mend


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("output: a\noutput: b\n", "config-double-key"),
        ('{"output": "a", "output": "b"}', "config-double-key"),
        ("output: &x a\nnames: [*x]\n", "config-reference"),
        ("weights: &x\n  a: *x\n", "config-reference"),
        ("output: a: b\n", "config-unreadable"),
        ('{"output": ', "config-unreadable"),
        ("output: !!python/object/apply:os.getcwd []\n", "config-unreadable"),
        ("output: !!binary aaaa\n", "config-wrong-value"),
        ("output: o\nweights: !!set {a}\n", "config-wrong-value"),
        ("output: o\n? [1, 2]\n: 3\n", "config-wrong-value"),
        ("output: a\0\n", "config-unreadable"),
        ("[" * 500, "config-unreadable"),
        ("[1, 2]", "config-wrong-value"),
        ("just words", "config-wrong-value"),
        ('output: "\\ud83d"\n', "config-wrong-value"),
    ],
)
def test_what_is_no_configuration_is_refused(text: str, code: str) -> None:
    assert refusal(text).code == code


def test_a_syntax_error_names_its_line() -> None:
    assert refusal("output: o\nnames: [a\nseed: 1\n").place == "run.yaml:3"


def test_a_date_is_text() -> None:
    assert configuration.parse("output: 2026-01-31", Run, place="x").output == Path("2026-01-31")


def test_an_own_check_of_a_configuration_gets_file_and_line() -> None:
    error = refusal("output: o\nseed: -1\n")
    assert error.code == "seed-negative"
    assert error.place == "run.yaml:2: seed"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_an_unreadable_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "run.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        configuration.load(path, Run)
    assert caught.value.code == "config-unreadable"
    assert caught.value.place == str(path)


def test_a_wrong_value_set_in_python_is_refused_before_it_is_written() -> None:
    wrong = replace(Run(output=Path("o")), optimizer=Optimizer(learning_rate="fast"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        configuration.to_yaml(wrong)
    assert caught.value.place == "Run: optimizer.learning_rate"


def test_json_has_no_infinity() -> None:
    with pytest.raises(ConfigError) as caught:
        configuration.to_json(Run(output=Path("o"), weights={"a": float("inf")}))
    assert caught.value.code == "config-not-json"


def test_differences_name_dotted_keys_in_order() -> None:
    first = configuration.to_plain(Run(output=Path("a"), steps=(DropSimilar(),), names=("x", "y")))
    second = configuration.to_plain(
        Run(output=Path("a"), optimizer=Optimizer(betas=(0.5, 0.9)), names=("x",))
    )
    assert configuration.differences(first, second) == [
        Difference("optimizer.betas", [0.9, 0.95], [0.5, 0.9]),
        Difference("steps.0.kind", "drop_similar", ABSENT),
        Difference("steps.0.threshold", 0.95, ABSENT),
        Difference("names", ["x", "y"], ["x"]),
        Difference("steps", ABSENT, []),
    ]
    assert configuration.differences(first, first) == []


def test_bare_values_are_read_without_knowing_their_type(tmp_path: Path) -> None:
    run = Run(output=Path("o"), steps=(DropSimilar(),))
    path = tmp_path / "run.yaml"
    path.write_text(configuration.to_yaml(run))
    assert configuration.load_plain(path) == configuration.to_plain(run)
    path.write_text("- 1\n")
    with pytest.raises(ConfigError):
        configuration.load_plain(path)


def curation_refusal(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        configuration.parse(text, CurateConfig, place="run.yaml")
    return caught.value


CURATION = """\
output: runs/x
data: []
steps:
  - name: drop-identical
  - name: drop-ambiguous
    min_confidence: 0.6
"""


def test_a_misspelt_field_of_a_step_is_told_from_those_of_its_own_kind() -> None:
    error = curation_refusal(CURATION.replace("min_confidence", "min_confidnce"))
    assert error.code == "config-unknown-key"
    assert error.place == "run.yaml:6: steps.1.min_confidnce"
    names = "judge, judge_all, min_confidence, min_margin, name, num_samples"
    assert error.expected == f"one of the keys {names}"
    assert error.mend == "Did you mean `min_confidence`?"


def test_a_misspelt_kind_of_step_is_refused_with_the_nearest_one() -> None:
    error = curation_refusal(CURATION.replace("drop-identical", "drop-identicle"))
    assert (error.value, error.place) == ("'drop-identicle'", "run.yaml:4: steps.0.name")
    assert error.expected.startswith("one of drop-identical, drop-similar, ")
    assert error.mend == "Did you mean `drop-identical`?"


def test_a_step_without_a_kind_is_refused() -> None:
    error = curation_refusal(CURATION.replace("- name: drop-identical", "- {}"))
    assert (error.code, error.place) == ("config-missing-key", "run.yaml:4: steps.0.name")


def test_a_value_that_a_part_refuses_is_named_by_line_and_full_key() -> None:
    error = curation_refusal(CURATION.replace("0.6", "1.5"))
    assert error.place == "run.yaml:6: steps.1.min_confidence"
    judge = "    judge: {base_url: 'http://x/v1',\n            model: m, timeout_seconds: 0}\n"
    error = curation_refusal(CURATION + judge)
    assert error.place == "run.yaml:8: steps.1.judge.timeout_seconds"
    error = curation_refusal(CURATION + "    judge_all: true\n" + "exports: []\n")
    assert error.place == "run.yaml:7: steps.1.judge_all"


def test_a_key_that_a_check_gives_with_its_parts_name_is_not_told_twice() -> None:
    text = "output: x\ndata: [{path: a}]\nmodel: {path: base}\noptimizer:\n  epsilon: 0.0\n"
    with pytest.raises(ConfigError) as caught:
        configuration.parse(text, TrainConfig, place="run.yaml")
    assert caught.value.place == "run.yaml:5: optimizer.epsilon"
