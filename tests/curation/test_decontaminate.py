import json

import pytest

from tests.curation.making import drawing, pair, reasons, run, saved
from vlreward.curation.decontaminate import Decontaminate
from vlreward.errors import ConfigError, DataError
from vlreward.sources.config import SourceConfig

CIRCLES = ((80, 80, "red"), (150, 140, "blue"))


def step(tmp_path, *rows, **settings):
    path = tmp_path / "benchmark.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Decontaminate(benchmarks=(SourceConfig(path=str(path)),), **settings)


def asked(prompt, *images):
    return {"prompt": "<image>" * len(images) + prompt, "responses": ["a", "b"], "images": images}


def test_the_benchmarks_prompts_go_in_other_words_and_with_other_answers_too(tmp_path):
    rows = [
        pair("Which planet is the largest?", "Jupiter.", "Mars.", place="same"),
        pair("Please tell me which planet is the largest.", "Saturn.", "Mars.", place="other"),
        pair("Which planet is the smallest?", "Mercury.", "Mars.", place="else"),
    ]
    out = run(rows, tmp_path, step(tmp_path, asked("Which planet is the largest?")))
    assert reasons(out.entries) == {"same": "benchmark-prompt", "other": "benchmark-prompt"}
    assert all(str(one.because).endswith("benchmark.jsonl:1") for one in out.entries)


def test_a_common_question_counts_about_a_copy_of_the_picture_alone(tmp_path):
    saved(drawing(*CIRCLES), tmp_path / "theirs.png")
    copy = saved(drawing(*CIRCLES), tmp_path / "ours.jpg", quality=85)
    other = saved(drawing((60, 60, "red")), tmp_path / "other.png")
    question = "Do the circles overlap?"
    rows = [
        pair(question, "Yes.", "No.", copy, place="copy"),
        pair(question, "Yes.", "No.", other, place="other"),
        pair(question, "Yes.", "No.", place="none"),
        pair("What colour is the left one?", "Red.", "Blue.", copy, place="picture"),
    ]
    benchmark = asked(question, "theirs.png")
    out = run(rows, tmp_path, step(tmp_path, benchmark))
    assert reasons(out.entries) == {"copy": "benchmark-prompt", "picture": "benchmark-picture"}
    kept = run(rows, tmp_path / "2", step(tmp_path, benchmark, drop_pictures=False))
    assert reasons(kept.entries) == {"copy": "benchmark-prompt"}


def test_rows_that_are_like_each_other_alone_stay(tmp_path):
    rows = [pair("Which bar is longest?", place="a"), pair("Which bar is the longest?", place="b")]
    assert not run(rows, tmp_path, step(tmp_path, asked("Which slice is largest?"))).entries


def test_a_benchmark_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(DataError):
        run([pair()], tmp_path, step(tmp_path, asked("Which?", "missing.png")))
    with pytest.raises(ConfigError, match="at least one benchmark"):
        Decontaminate(benchmarks=())
