"""The command line as its user meets it: exit codes, one sentence of reproach, output whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support import tiny
from tests.support.training import drawn_row, text_row, tiny_config, write_rows
from vlreward import __version__, cli, command_lines, configuration, errors
from vlreward.sources.config import SourceConfig
from vlreward.training.config import StageConfig, TrainConfig

VERBS = ("demo", "train", "score", "eval", "export", "miniature")
SHOW_HELP = [
    *([verb, "--help"] for verb in VERBS),
    ["miniature", "base", "--help"],
    ["miniature", "reward", "--help"],
]


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def vlreward(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """Runs a command line in this process, as the console script does, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "_exit", sys.exit)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["vlreward", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capfd.readouterr()
        code = 0 if ended.value.code is None else int(ended.value.code)
        return Done(code=code, out=said.out, err=said.err)

    return run


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cli")
    checkpoint = tiny.load_tiny(tiny.write_base_model(root / "base", "qwen2_5_vl"))
    tiny.reward_model(checkpoint).save(root / "model")
    return root / "model"


def assert_refused(done: Done, code: int, *said: str) -> None:
    """One line on standard error that holds all the words, nothing on standard output."""
    assert (done.code, done.out) == (code, "")
    [line] = done.err.splitlines()
    assert line.startswith("vlreward: ")
    assert [words for words in said if words not in line] == []


@pytest.mark.parametrize("arguments", [[], ["--help"], *SHOW_HELP])
def test_help_is_given_without_loading_torch(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        f"sys.argv = ['vlreward', *{arguments!r}]\n"
        "from vlreward.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print('LOADED', *({'torch', 'transformers'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    *shown, loaded = done.stdout.splitlines()
    assert loaded == "LOADED"
    assert any(
        line.startswith(("usage: vlreward", "vlreward:", "vlreward miniature")) for line in shown
    )


def test_the_help_names_every_verb(vlreward: Run) -> None:
    shown = vlreward("--help").out
    assert all(f"vlreward {verb}" in shown for verb in VERBS)
    assert vlreward("--version").out == f"{__version__}\n"


def test_every_flag_of_training_is_explained(vlreward: Run) -> None:
    shown = vlreward("train", "scratch", "--help").out
    for flag in ("--data", "--output", "--stages.0.epochs", "--optimizer.beta2", "--collation."):
        assert flag in shown
    assert "Comparisons in one optimizer step" in shown


def test_an_unknown_verb_is_refused(vlreward: Run) -> None:
    assert_refused(vlreward("trian"), 2, "trian", "demo, train, score, export")


def test_an_unknown_recipe_is_refused(vlreward: Run) -> None:
    assert_refused(vlreward("train", "skywork"), 2, "skywork;", "skywork-vl, scratch")
    assert_refused(vlreward("train"), 2, "nothing", "skywork-vl, scratch")


def test_training_without_data_is_refused(vlreward: Run) -> None:
    assert_refused(vlreward("train", "scratch"), 2, "no --data", "path[#split]")


def test_a_misspelt_flag_is_refused_with_its_likely_meaning(vlreward: Run) -> None:
    done = vlreward("train", "scratch", "--data", "a.jsonl", "--stages.0.epoch", "3")
    assert done.code == 2
    assert "--stages.0.epoch" in done.err and "--stages.0.epochs" in done.err
    assert "Traceback" not in done.err


def test_a_value_that_cannot_be_is_refused_by_its_key(vlreward: Run) -> None:
    done = vlreward("train", "scratch", "--data", "a.jsonl", "--stages.0.batch-size", "0")
    assert_refused(done, 2, "stages.0.batch_size: 0; expected 1 or more")


def test_a_misspelt_key_in_a_file_is_refused_with_line_and_likely_meaning(
    vlreward: Run, tmp_path: Path
) -> None:
    text = configuration.to_yaml(tiny_config(tmp_path))
    number = next(n for n, line in enumerate(text.splitlines(), 1) if "learning_rate:" in line)
    (tmp_path / "run.yaml").write_text(text.replace("learning_rate:", "learning_rat:", 1))
    done = vlreward("train", "--from", "run.yaml")
    assert_refused(done, 2, f"run.yaml:{number}", "learning_rat", "mean `learning_rate`?")


def test_a_missing_file_of_configuration_is_refused(vlreward: Run) -> None:
    assert_refused(vlreward("train", "--from", "nowhere.yaml"), 2, "nowhere.yaml")


def test_missing_data_is_refused_and_leaves_no_folder(vlreward: Run, tmp_path: Path) -> None:
    done = vlreward("train", "scratch", "--data", "nowhere.jsonl", "--output", "run")
    assert_refused(done, 3, "nowhere.jsonl", "a data file")
    assert list(tmp_path.iterdir()) == []


def test_a_model_to_train_that_is_not_there_is_refused(vlreward: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", drawn_row(0))
    done = vlreward("train", "skywork-vl", "--data", "a.jsonl", "--model.path", "./nowhere")
    assert_refused(done, 4, "./nowhere")


def test_too_many_refused_rows_end_training_with_the_code_of_data(
    vlreward: Run, tmp_path: Path
) -> None:
    write_rows(tmp_path / "a.jsonl", drawn_row(0), drawn_row(1, images=["nowhere.png"]))
    sizes = ["--model.scratch.hidden-size", "32", "--model.scratch.vision-hidden-size", "32"]
    done = vlreward("train", "scratch", "--data", "a.jsonl", "--output", "run", *sizes)
    assert_refused(done, 3, "1 of 2 rows refused", "rows.jsonl", "picture-missing")


def test_flags_change_the_recipes_values() -> None:
    config = command_lines.read_train_arguments(
        [
            "scratch",
            *("--data", "a.jsonl#train", "hub:owner/name@v1#val"),
            *("--validation", "b.parquet"),
            *("--stages.0.epochs", "3", "--model.head", "mlp", "--objective.use-margin"),
            *("--collation.max-pixels", "784", "--seed", "7"),
        ]
    ).run
    assert config.data == (
        SourceConfig(path="a.jsonl", split="train"),
        SourceConfig(path="hub:owner/name", revision="v1", split="val"),
    )
    assert config.validation == (SourceConfig(path="b.parquet"),)
    assert (config.stages[0].epochs, config.stages[0].batch_size) == (3, 32)
    assert (config.model.head, config.objective.use_margin) == ("mlp", True)
    assert (config.collation.max_pixels, config.seed) == (784, 7)


def test_a_runs_file_gives_its_configuration_again(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, seed=5, max_refused_share=0.25)
    file = tmp_path / "config.yaml"
    file.write_text(configuration.to_yaml(config))
    assert command_lines.read_train_arguments(["--from", str(file)]).run == config
    changed = command_lines.read_train_arguments(
        ["--from", str(file), "--seed", "6", "--output", "other"]
    ).run
    assert changed == replace(config, seed=6, output="other")


def test_a_source_with_more_than_a_word_can_say_survives_flags_beside_it(tmp_path: Path) -> None:
    source = SourceConfig(path="a.jsonl", format="neutral", limit=5, name="mine", split="train")
    file = tmp_path / "config.yaml"
    file.write_text(configuration.to_yaml(tiny_config(tmp_path, data=(source,))))
    given = command_lines.read_train_arguments(["--from", str(file), "--seed", "6"])
    assert given.run.data == (source,)


def test_training_from_a_file_ends_with_a_model_and_refuses_other_values(
    vlreward: Run, tmp_path: Path
) -> None:
    stages = (StageConfig(name="once", epochs=1, batch_size=64, learning_rate=1e-3),)
    config: TrainConfig = tiny_config(tmp_path, stages=stages)
    (tmp_path / "run.yaml").write_text(configuration.to_yaml(config))
    done = vlreward("train", "--from", "run.yaml")
    assert done.code == 0
    run = Path(config.output)
    assert done.out == (
        f"The model lies in {run}/model, its curves in {run}/curves.png, samples with their "
        f"rewards in {run}/samples.html.\n"
    )
    assert "Traceback" not in done.err
    told = json.loads((run / "command.json").read_text())
    assert told["command"] == ["vlreward", "train", "--from", "run.yaml"]

    done = vlreward("train", "--from", "run.yaml", "--seed", "1")
    assert_refused(done, 2, "seed is 0, not 1", "Choose a new output folder")


def test_bad_rows_cost_an_exit_code_and_no_other_rows_score(
    vlreward: Run, tmp_path: Path, model_folder: Path
) -> None:
    bad = drawn_row(1, images=["nowhere.png"])
    write_rows(tmp_path / "in.jsonl", drawn_row(0), bad, text_row(2))
    done = vlreward(
        *("score", "in.jsonl", "--model", str(model_folder)), "--output", "new/folder/out.jsonl"
    )
    assert (done.code, done.out) == (3, "2 rows scored, 1 refused: new/folder/out.jsonl\n")
    lines = [json.loads(line) for line in Path("new/folder/out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["drawn-0", "drawn-1", "text-2"]
    assert ["rewards" in line for line in lines] == [True, False, True]


def test_scoring_good_rows_ends_with_zero(
    vlreward: Run, tmp_path: Path, model_folder: Path
) -> None:
    write_rows(tmp_path / "in.jsonl", drawn_row(0), text_row(2))
    done = vlreward("score", "in.jsonl", "--model", str(model_folder), "--output", "out.jsonl")
    assert (done.code, done.out) == (0, "2 rows scored, 0 refused: out.jsonl\n")


def test_rows_of_one_split_are_scored_in_the_layout_asked_for(
    vlreward: Run, tmp_path: Path, model_folder: Path
) -> None:
    rows = [text_row(0, split="train"), text_row(1, split="val"), drawn_row(2, split="val")]
    write_rows(tmp_path / "in.jsonl", *rows)
    found = {}
    for layout in ("packed", "padded"):
        done = vlreward(
            *("score", "in.jsonl#val", "--model", str(model_folder)),
            *("--output", f"{layout}.jsonl", "--layout", layout),
        )
        assert (done.code, done.out) == (0, f"2 rows scored, 0 refused: {layout}.jsonl\n")
        found[layout] = [
            json.loads(line) for line in Path(f"{layout}.jsonl").read_text().splitlines()
        ]
    assert [line["id"] for line in found["packed"]] == ["text-1", "drawn-2"]
    for packed, padded in zip(found["packed"], found["padded"], strict=True):
        assert packed["rewards"] == pytest.approx(padded["rewards"], abs=1e-5)


def test_the_scores_do_not_replace_what_is_scored(
    vlreward: Run, tmp_path: Path, model_folder: Path
) -> None:
    rows = write_rows(tmp_path / "in.jsonl", text_row(0)).read_bytes()
    done = vlreward("score", "in.jsonl", "--model", str(model_folder), "--output", "./in.jsonl")
    assert_refused(done, 2, "in.jsonl", "another file")
    assert (tmp_path / "in.jsonl").read_bytes() == rows


def test_a_runs_folder_is_not_taken_for_its_model(
    vlreward: Run, tmp_path: Path, model_folder: Path
) -> None:
    write_rows(tmp_path / "in.jsonl", text_row(0))
    run = model_folder.parent
    done = vlreward("score", "in.jsonl", "--model", str(run), "--output", "out.jsonl")
    assert_refused(done, 4, f"Give {run}/model")


def test_scoring_a_missing_file_is_refused(vlreward: Run, model_folder: Path) -> None:
    done = vlreward("score", "nowhere.jsonl", "--model", str(model_folder), "--output", "o.jsonl")
    assert_refused(done, 3, "nowhere.jsonl")
    done = vlreward("score", "nowhere.jsonl", "--model", "nor/this", "--output", "o.jsonl")
    assert_refused(done, 3, "nowhere.jsonl")
    assert not Path("o.jsonl").exists()


@pytest.mark.parametrize("verb", ["score", "export"])
def test_a_folder_that_is_no_reward_model_is_refused(
    vlreward: Run, tmp_path: Path, model_folder: Path, verb: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_rows(tmp_path / "in.jsonl", text_row(0))

    def run(model: str) -> Done:
        if verb == "export":
            return vlreward("export", model, "out")
        return vlreward("score", "in.jsonl", "--model", model, "--output", "out.jsonl")

    assert_refused(run("empty"), 4, "empty/config.json")
    assert_refused(run("./nowhere"), 4, "./nowhere")
    base = model_folder.parent / "base"
    assert_refused(run(str(base)), 4, "without a reward head", "vlreward train")


def test_an_export_is_written_and_an_existing_folder_refused(
    vlreward: Run, tmp_path: Path, model_folder: Path
) -> None:
    done = vlreward("export", str(model_folder), "out")
    assert (done.code, done.out) == (0, "Written to out as sequence-classification.\n")
    written = {path: path.read_bytes() for path in Path("out").iterdir()}
    assert_refused(vlreward("export", str(model_folder), "out"), 2, "out", "nothing is yet")
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == written
    done = vlreward("export", str(model_folder), "other", "--revision", "main")
    assert_refused(done, 2, "revision", "lies on this machine")


def test_an_interrupt_from_the_keyboard_ends_with_130(vlreward: Run) -> None:
    os.mkfifo("slow.yaml")
    ended = threading.Event()

    def interrupt_the_reader() -> None:
        with open("slow.yaml", "w"):
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait(timeout=60)

    thread = threading.Thread(target=interrupt_the_reader)
    thread.start()
    try:
        assert vlreward("train", "--from", "slow.yaml") == Done(code=130, out="", err="")
    finally:
        ended.set()
        thread.join()


def test_the_help_explains_the_exit_code_of_every_error(vlreward: Run) -> None:
    codes = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.VlrewardError)
    }
    explained = " ".join(vlreward("--help").out.split("Exit codes:")[1].split())
    assert codes - {errors.VlrewardError.exit_code} == {2, 3, 4, 5, 6, 7, 75}
    assert errors.MissingExtraError.exit_code == 5 and "5 missing extra" in explained
    for code in codes - {errors.VlrewardError.exit_code}:
        assert f" {code} " in explained


def test_telemetry_is_off_unless_the_user_says_otherwise(
    vlreward: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY")
    vlreward("--version")
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_run_raises_what_main_would_print() -> None:
    with pytest.raises(errors.ConfigError, match="trian"):
        cli.run(["trian"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "x", "--output", "y", "--max-rows", "10"],
        ["--data", "x", "--output", "y", "--generator", "openai:gpt-4o"],
        ["--from", "config.yaml", "--judge", "openai:gpt-4o"],
    ],
)
def test_a_flag_that_a_recipe_of_curation_does_not_take_is_refused(arguments: list[str]) -> None:
    with pytest.raises(errors.ConfigError, match=f"{arguments[-2]}; expected no such flag"):
        command_lines.read_curate_config(arguments)
