import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from tests.curation.making import drawing, saved
from tests.sources.making import write_rows
from tests.workflows.sets import digests, row
from vlreward.cli import run
from vlreward.command_lines import read_curate_config
from vlreward.curation import ledger
from vlreward.curation.mix import Mix
from vlreward.errors import CheckpointError, ConfigError, DataError, MissingExtraError
from vlreward.recipes.curation import first_stage
from vlreward.sources.config import SourceConfig
from vlreward.sources.read import read_preferences
from vlreward.sources.spec import parse_source
from vlreward.workflows.curate import curate_sets, plan_calls
from vlreward.workflows.curation_sources import refuse_doubles
from vlreward.workflows.show import show_pair


@pytest.fixture
def sources(tmp_path):
    """Two overlapping sets with pictures, doubles, paraphrases, doubt and a torn row."""
    saved(drawing((80, 80, "red"), (150, 140, "blue")), tmp_path / "one.png")
    saved(drawing((80, 80, "red"), (150, 140, "blue")), tmp_path / "one.jpg", quality=90)
    first = [
        row("a1", "<image>Do they overlap?", "No.", "Yes.", images=["one.png"], label_type="human"),
        row("a2", "Is a whale a fish?", "No.", "Yes.", images=[], confidence=1.0),
        row("a3", "Is a bat a bird?", "No.", "Yes.", images=[], confidence=0.5),
        row("a4", "Is 7 a prime?", images=[]),
        row("a5", "Empty?", " ", images=[]),
    ]
    second = [
        row("b1", "<image>Please tell me: do they overlap?", "No.", "Yes.", images=["one.jpg"]),
        row("b2", "Is a whale a fish? ", "No.", "Yes.", images=[], confidence=0.9),
        row("b3", "Is 9 a prime?", "No.", "Yes.", images=[]),
        row("b4", " ", images=[]),
    ]
    return (
        write_rows(tmp_path / "first.jsonl", *first),
        write_rows(tmp_path / "second.jsonl", *second),
    )


def benchmark(folder):
    """A benchmark's file with prompts of both sets."""
    rows = [row("1", "Is a whale a fish?", images=[]), row("2", "Is 9 a prime?", images=[])]
    return write_rows(folder / "benchmark.jsonl", *rows)


def curate(tmp_path, *sources, name="run", **settings):
    config = first_stage(
        data=[str(one) for one in sources], output=str(tmp_path / name), **settings
    )
    return curate_sets(config, command=["vlreward", "curate"])


def kept(folder):
    items = list(read_preferences(SourceConfig(path=str(folder / "data"))))
    assert not any(isinstance(one, DataError) for one in items)
    return {one.origin.row_id: one for one in items}


def test_what_is_kept_and_what_is_dropped_is_what_was_read(tmp_path, sources):
    folder = curate(tmp_path, *sources)
    entries = ledger.read(folder / "ledger.parquet")
    assert set(kept(folder)) == {"a1", "a2", "a4", "b3"}
    assert [(one.step, one.reason) for one in entries] == [
        ("read", "answer-empty"),
        ("read", "prompt-empty"),
        ("drop-identical", "identical"),
        ("drop-similar", "similar"),
        ("drop-ambiguous", "low-confidence"),
    ]
    assert len(entries) + 4 == 9


def test_the_card_says_what_is_in_the_set_and_what_was_dropped(tmp_path, sources):
    folder = curate(tmp_path, *sources)
    text = (folder / "README.md").read_text()
    assert "4 left of 9 rows that were read" in text
    assert "| first | 1 | 2 | 75.0% |" in text and "| all | 1 | 3 | 100% |" in text
    assert "| drop-similar | similar | 1 | 11.1% |" in text
    assert "in its stead: `Do they overlap?`" in text
    assert (folder / "funnel.png").read_bytes().startswith(b"\x89PNG")


def test_the_order_of_the_sources_changes_no_byte(tmp_path, sources):
    one = curate(tmp_path, *sources)
    other = curate(tmp_path, *sources[::-1], name="other")
    assert digests(one) == digests(other) and len(digests(one)) == 2


def test_hash_seeds_change_no_byte(tmp_path, sources):
    found = []
    for seed in ("1", "2"):
        arguments = ["--data", *map(str, sources), "--output", str(tmp_path / seed)]
        code = f"from vlreward.cli import run; run(['curate', *{arguments!r}])"
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        found.append(digests(tmp_path / seed / "set"))
    assert found[0] == found[1]


def test_a_second_start_does_nothing_and_a_killed_one_goes_on(tmp_path, sources):
    whole = digests(curate(tmp_path, *sources))
    assert digests(curate(tmp_path, *sources)) == whole
    code = (
        "import os, signal, vlreward.curation.pipeline as pipeline\n"
        "from vlreward.cli import run\n"
        "write = pipeline.write_bytes_atomically\n"
        "def killed(path, data):\n"
        "    write(path, data)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "pipeline.write_bytes_atomically = killed\n"
        f"run(['curate', '--data', *{[*map(str, sources)]!r}, '--output', {str(tmp_path / 'k')!r}])"
    )
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], env=environment)
        assert done.returncode == -signal.SIGKILL and not (tmp_path / "k" / "set").exists()
    assert digests(curate(tmp_path, *sources, name="k")) == whole


def unpublished(folder):
    """The run of a published set, as it was before publishing."""
    shutil.rmtree(folder)
    return folder.parent


@pytest.mark.parametrize("is_finished", [True, False])
def test_sources_that_changed_since_are_named_and_refused(tmp_path, sources, is_finished):
    folder = curate(tmp_path, *sources)
    if not is_finished:
        unpublished(folder)
    with sources[0].open("a") as file:
        file.write(json.dumps(row("a6", "New?", images=[])) + "\n")
    with pytest.raises(DataError, match="as they were when the run began") as caught:
        curate(tmp_path, *sources)
    assert caught.value.code == "sources-changed"
    assert caught.value.place == f"{sources[0]} has changed"


def test_files_that_came_or_went_in_a_folder_of_sources_are_named(tmp_path, sources):
    folder = tmp_path / "many"
    folder.mkdir()
    for name in ("a", "b"):
        shutil.copy(sources[1], folder / f"{name}.jsonl")
    shutil.copy(tmp_path / "one.jpg", folder)
    unpublished(curate(tmp_path, folder))
    (folder / "b.jsonl").rename(folder / "c.jsonl")
    with pytest.raises(DataError) as caught:
        curate(tmp_path, folder)
    place = f"{folder}/b.jsonl is no longer there; {folder}/c.jsonl is new"
    assert caught.value.place == place


def test_a_finished_run_needs_its_sources_no_more(tmp_path, sources, capfd):
    folder = curate(tmp_path, *sources)
    for source in sources:
        source.unlink()
    assert curate(tmp_path, *sources) == folder
    assert "Nothing to do" in capfd.readouterr().err
    assert run(["curate", "--from", str(folder.parent / "config.yaml"), "--dry-run"]) == 0


@pytest.mark.parametrize("is_published", [True, False])
def test_a_configuration_that_was_edited_in_place_is_refused(tmp_path, sources, is_published):
    folder = curate(tmp_path, *sources)
    if not is_published:
        unpublished(folder)
    path = folder.parent / "config.yaml"
    path.write_text(path.read_text().replace("min_confidence: 0.6", "min_confidence: 0.2"))
    with pytest.raises(ConfigError, match=r"steps\.2\.min_confidence is 0\.6, not 0\.2") as caught:
        run(["curate", "--from", str(path)])
    kept_config = folder.parent / "work" / "read" / "config.yaml"
    assert (caught.value.code, caught.value.place) == ("run-differs", str(kept_config))
    assert "Choose a new output folder" in caught.value.mend


def test_a_run_is_the_same_from_every_working_directory(tmp_path, sources, monkeypatch):
    words = ["curate", "--data", *(one.name for one in sources), "--benchmarks", "benchmark.jsonl"]
    benchmark(tmp_path)
    monkeypatch.chdir(tmp_path)
    run([*words, "--output", "./run"])
    unpublished(tmp_path / "run" / "set")
    assert ledger.read(tmp_path / "run" / "work" / "read" / "refused.parquet")[0].place == (
        f"{sources[0].name}:5"
    )
    monkeypatch.chdir(tmp_path / "run")
    from_elsewhere = [f"../{word}" if (tmp_path / word).exists() else word for word in words]
    output = str(tmp_path / "run")
    assert run([*from_elsewhere, "--output", output]) == 0
    unpublished(tmp_path / "run" / "set")
    assert run(["curate", "--from", "config.yaml"]) == 0


def test_a_moved_run_is_refused_by_both_folders_and_its_file_can_be_run_anew(tmp_path, sources):
    begun = curate(tmp_path, *sources).parent
    moved = shutil.copytree(begun, tmp_path / "moved")
    words = ["curate", "--from", str(moved / "config.yaml")]
    for more in ([], ["--output", str(moved)]):
        with pytest.raises(ConfigError, match=rf"{begun}\W.*\[run-moved\]") as caught:
            run([*words, *more])
        assert caught.value.place == str(moved / "config.yaml")
    assert run([*words, "--output", str(begun)]) == 0
    assert run([*words, "--output", str(tmp_path / "new")]) == 0
    assert digests(tmp_path / "new" / "set") == digests(begun / "set")


def test_a_run_folder_gives_its_configuration_back(tmp_path, sources):
    folder = curate(tmp_path, *sources, benchmarks=[str(benchmark(tmp_path))])
    arguments = ["--from", str(folder.parent / "config.yaml"), "--output", str(tmp_path / "again")]
    _, config = read_curate_config(arguments)
    assert [step.name for step in config.steps] == [
        "drop-identical",
        "drop-similar",
        "decontaminate",
        "drop-ambiguous",
    ]
    assert config.output == str(tmp_path / "again")
    assert (
        pq.read_table(folder / "ledger.parquet")["reason"].to_pylist().count("benchmark-prompt")
        + pq.read_table(folder / "ledger.parquet")["reason"].to_pylist().count("benchmark-picture")
        >= 2
    )


def test_the_set_is_written_for_other_trainers_on_request(tmp_path, sources):
    arguments = ["--data", *map(str, sources), "--exports", "llamafactory", "ms-swift"]
    run(["curate", *arguments, "--output", str(tmp_path / "run")])
    folder = tmp_path / "run" / "set"
    for form in ("llamafactory", "ms-swift"):
        files = SourceConfig(path=str(next((folder / form).glob("data.json*"))))
        found = {one.id for one in read_preferences(files) if not isinstance(one, DataError)}
        assert found == {one.id for one in kept(folder).values()}
        assert (folder / form / "refused.jsonl").read_text() == ""


def test_the_set_opens_with_datasets_by_its_folder(tmp_path, sources):
    import datasets

    folder = curate(tmp_path, *sources)
    opened = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    pairs = {one.id: one for one in kept(folder).values()}
    assert set(opened["id"]) == set(pairs) and len(opened) == 4
    for published in opened:
        pair = pairs[published["id"]]
        sizes = [one.size for one in published["images"]]
        assert sizes == [(240, 240)] * len(list(pair.pictures))
        said = published["chosen"][0]["content"]
        assert said == [{"type": "text", "text": pair.chosen.text}]
    other = curate(tmp_path, sources[0], name="other")
    opened = datasets.load_dataset(str(other), split="train", cache_dir=str(tmp_path / "cache"))
    assert set(opened["id"]) == {one.id for one in kept(other).values()} != set(pairs)


@pytest.mark.parametrize("damage", ["x", "{}"])
def test_a_damaged_note_of_a_step_is_refused_with_its_mend(tmp_path, sources, damage):
    folder = curate(tmp_path, *sources)
    shutil.rmtree(folder)
    note = folder.parent / "work" / "02-drop-similar" / "found.json"
    note.write_text(damage)
    with pytest.raises(DataError, match="folder-damaged"):
        curate(tmp_path, *sources)
    note.unlink()
    assert curate(tmp_path, *sources) == folder


def test_a_set_of_texts_opens_as_plain_messages_without_pictures(tmp_path):
    import datasets

    rows = [row("x", "What does it mean?", images=[]), row("y", "Is 7 a prime?", images=[])]
    texts = write_rows(tmp_path / "texts.jsonl", *({**one, "label_type": "human"} for one in rows))
    folder = curate(tmp_path, texts)
    opened = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert "images" not in opened.column_names
    assert opened[0]["chosen"] == [{"role": "assistant", "content": "Yes."}]
    assert (
        {one.origin.row_id for one in kept(folder).values()} == set(opened["row_id"]) == {"x", "y"}
    )


def test_an_empty_result_is_a_set_all_the_same(tmp_path):
    rows = [row("x", "Why?", images=[], confidence=0.5)]
    folder = curate(tmp_path, write_rows(tmp_path / "doubt.jsonl", *rows))
    assert "0 left of 1 rows" in (folder / "README.md").read_text()
    assert "dropped it as low-confidence" in show_pair("x", folder)


def test_a_set_of_which_nothing_is_dropped_has_a_card_too(tmp_path):
    rows = [row("x", "Why?", images=[])]
    folder = curate(tmp_path, write_rows(tmp_path / "fine.jsonl", *rows))
    assert "Nothing was dropped." in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--output", "x"], "data-missing"),
        ([], "data-missing"),
        (["--data", "x.jsonl"], "output-missing"),
        (["--data", "x.jsonl", "--output", ""], "config-value"),
    ],
)
def test_missing_arguments_are_named(arguments, code):
    with pytest.raises(ConfigError) as caught:
        run(["curate", *arguments])
    assert caught.value.code == code


@pytest.mark.parametrize(
    "other",
    ["first.jsonl", "./first.jsonl", "{0}/first.jsonl", "link.jsonl", "hard.jsonl", "*.jsonl"],
)
def test_a_source_that_is_named_twice_is_refused(tmp_path, sources, other, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(sources[0])
    (tmp_path / "hard.jsonl").hardlink_to(sources[0])
    with pytest.raises(ConfigError, match="each source once") as caught:
        curate(tmp_path, "first.jsonl", other.format(tmp_path))
    assert caught.value.code == "source-twice" and "first.jsonl" in caught.value.value
    with pytest.raises(ConfigError, match=r"data: first\.jsonl#train and .*#train;"):
        curate(tmp_path, "first.jsonl#train", f"{other.format(tmp_path)}#train")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("one", "other", "is_twice"),
    [
        ("{}#train", "{}#val", False),
        ("{}#train", "{}", True),
        ("{}#val", "{}#val", True),
        ("hub:a/b", "hub:a/b#train", True),
        ("hub:a/b", "hub:a/b#test", False),
        ("hub:a/b@v1", "hub:a/b@v2", False),
        ("hub:a/b@v1", "hub:a/b@v1", True),
        ("hub:a/b", "hub:a/c", False),
    ],
)
def test_splits_and_revisions_are_sources_of_their_own(sources, one, other, is_twice):
    named = [parse_source(word.format(sources[0])) for word in (one, other)]
    with pytest.raises(ConfigError) if is_twice else nullcontext():
        refuse_doubles(named)


def test_a_benchmark_that_is_not_there_is_found_out_first_and_may_be_mended(tmp_path, sources):
    arguments = ["curate", "--data", str(sources[0]), "--output", str(tmp_path / "run")]
    with pytest.raises(DataError, match="file-missing"):
        run([*arguments, "--benchmarks", str(tmp_path / "no.jsonl")])
    run([*arguments, "--benchmarks", str(benchmark(tmp_path))])


def test_a_run_that_read_nothing_may_be_started_otherwise(tmp_path, sources):
    unknown = write_rows(tmp_path / "unknown.jsonl", {"what": "else"})
    for _ in range(2):
        with pytest.raises(DataError, match="format-unknown"):
            curate(tmp_path, sources[0], unknown)
    assert set(kept(curate(tmp_path, *sources))) == {"a1", "a2", "a4", "b3"}


@pytest.mark.parametrize("place", ["new/folder/run", "empty"])
def test_a_first_start_that_fails_leaves_nothing(tmp_path, place):
    (tmp_path / "empty").mkdir()
    unknown = write_rows(tmp_path / "unknown.jsonl", {"what": "else"})
    with pytest.raises(DataError, match="format-unknown"):
        curate(tmp_path, unknown, name=place)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "empty", unknown]


def test_a_cap_for_a_source_that_is_not_there_is_refused_and_may_be_mended(tmp_path, sources):
    def config(name):
        plain = first_stage(data=[str(one) for one in sources], output=str(tmp_path / "run"))
        return replace(plain, steps=(*plain.steps, Mix(max_source_rows={name: 1})))

    for start in (curate_sets, plan_calls):
        with pytest.raises(ConfigError, match="sources of the rows: first, second") as caught:
            start(config("frist"), command=[])
        assert (caught.value.code, caught.value.value) == ("source-unknown", "frist")
    assert set(kept(curate_sets(config("second"), command=[]))) == {"a1", "a2", "a4", "b3"}


def test_an_encoder_that_is_none_is_refused_before_anything_is_read(tmp_path, sources):
    (tmp_path / "encoder").mkdir()
    arguments = ["--data", str(sources[0]), "--output", str(tmp_path / "run")]
    with pytest.raises(CheckpointError, match="model-json-unreadable"):
        run(["curate", *arguments, "--embedder", str(tmp_path / "encoder")])
    assert not (tmp_path / "run").exists()


def test_input_without_one_pair_is_refused_with_the_reasons_and_leaves_nothing(tmp_path, capfd):
    rows = [row(f"e{number}", "Empty?", " ", images=[]) for number in range(3)]
    data = write_rows(tmp_path / "none.jsonl", row("p", " ", images=[]), *rows)
    with pytest.raises(DataError, match="4 rows, none of them a pair") as caught:
        curate(tmp_path, data, name="new/run")
    assert caught.value.code == "no-pairs"
    said = capfd.readouterr().err
    assert f"3 answer-empty, first {data}:2: " in said and f"1 prompt-empty, first {data}:1" in said
    assert said.index("answer-empty") < said.index("prompt-empty")
    assert sorted(tmp_path.iterdir()) == [data]


def test_missing_sources_are_found_out_before_anything_is_made(tmp_path):
    with pytest.raises(DataError, match="file-missing"):
        run(["curate", "--data", str(tmp_path / "no.jsonl"), "--output", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is there")
def test_a_cluster_without_ray_names_the_extra_before_anything_is_made(tmp_path, sources):
    arguments = ["--data", str(sources[0]), "--output", str(tmp_path / "run")]
    with pytest.raises(MissingExtraError, match=r"vlreward\[cluster\]"):
        run(["curate", *arguments, "--cluster", "local"])
    assert not (tmp_path / "run").exists()
