"""The files of annotation: tasks that tell nothing, decisions read strictly, votes counted."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.curation.making import drawing, pair, saved
from vlreward.curation.annotation import (
    DECISIONS,
    Decision,
    Maker,
    Task,
    count_votes,
    read_decisions,
    write_decisions,
    write_tasks,
)
from vlreward.errors import DataError
from vlreward.pictures import admit
from vlreward.records import Origin, Response

KNOWN = {"t1", "t2"}


def task(picture, *, a="Three.", b="Five.", kinds=("direct", "two-step"), field="mathematics"):
    shown = pair("How many?", "Two.", "Four.", picture)
    return Task(
        source=replace(shown, origin=Origin(source="set", row_id="7", place="set.jsonl:7")),
        a=Response(content=(a,)),
        b=Response(content=(b,)),
        field=field,
        made=(Maker(kind=kinds[0], model="m-1"), Maker(kind=kinds[1], model="m-2")),
    )


@pytest.fixture
def picture(tmp_path):
    return saved(drawing((80, 80, "red")), tmp_path / "shown.png")


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def decisions_in(folder, *lines):
    path = folder / DECISIONS
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def decision(task="t1", annotator="ann", better="A", **more):
    return {"task": task, "annotator": annotator, "better": better, **more}


def test_a_task_shows_prompt_picture_and_answers_and_nothing_of_who_wrote_them(tmp_path, picture):
    made = task(picture)
    write_tasks([made], tmp_path / "annotation")
    (row,) = rows(tmp_path / "annotation" / "tasks.jsonl")
    image, text = row["prompt"][0]["content"]
    assert image["type"] == "image"
    assert admit(tmp_path / "annotation" / image["path"]).sha256 == picture.sha256
    assert (row["id"], row["field"], text["text"]) == (made.id, "mathematics", "How many?")
    assert (row["a"], row["b"]) == (
        [{"type": "text", "text": "Three."}],
        [{"type": "text", "text": "Five."}],
    )
    assert set(row) == {"id", "field", "prompt", "a", "b"}
    shown = (tmp_path / "annotation" / "tasks.jsonl").read_text()
    assert not any(hidden in shown for hidden in ("direct", "two-step", "m-1", "m-2", "set.jsonl"))


def test_the_key_says_how_each_answer_was_made_and_for_which_row(tmp_path, picture):
    made = task(picture, kinds=("two-step", "direct"))
    write_tasks([made], tmp_path)
    (row,) = rows(tmp_path / "key.jsonl")
    assert row == {
        "id": made.id,
        "a": {"kind": "two-step", "model": "m-1"},
        "b": {"kind": "direct", "model": "m-2"},
        "pair": made.source.id,
        "source": "set",
        "row_id": "7",
        "place": "set.jsonl:7",
    }


def test_an_id_follows_what_is_shown_in_its_order_and_nothing_else(picture):
    made = task(picture)
    assert task(picture, kinds=("chosen", "direct"), field=None).id == made.id
    assert len({made.id, task(picture, a="Five.", b="Three.").id, task(picture, b="5.").id}) == 3


def test_a_picture_is_written_once_and_its_bytes_are_checked(tmp_path, picture):
    write_tasks([task(picture), task(picture, b="Six.")], tmp_path / "annotation")
    assert len(list((tmp_path / "annotation" / "pictures").iterdir())) == 1
    picture.path.write_bytes(b"another file")
    with pytest.raises(DataError, match="picture-changed"):
        write_tasks([task(picture)], tmp_path / "annotation")


def test_without_a_file_nothing_is_decided(tmp_path):
    assert read_decisions(tmp_path / DECISIONS, tasks=KNOWN) == []


names = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)
decided = st.builds(
    Decision,
    task=names,
    annotator=names.map(str.strip),
    better=st.sampled_from(["A", "B", "equal"]),
    seconds=st.none() | st.floats(min_value=0, allow_infinity=False),
    comment=st.none() | st.text(st.characters(codec="utf-8")),
    simulated=st.booleans(),
)


@given(st.lists(decided, unique_by=lambda one: (one.task, one.annotator)))
def test_what_is_written_is_read(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("decisions") / DECISIONS
    write_decisions(made, path)
    assert read_decisions(path, tasks={one.task for one in made}) == made


@pytest.mark.parametrize(
    ("line", "code", "place"),
    [
        ("{", "json-invalid", ""),
        ("[]", "row-not-object", ""),
        ('{"task": "t1", "annotator": "x", "better": "A", "better": "B"}', "key-doubled", ""),
        (decision(winner="A"), "decision-field-unknown", "decision"),
        ({"task": "t1", "better": "A"}, "field-type", "annotator"),
        ({"annotator": "x", "better": "A"}, "field-type", "task"),
        ({"task": "t1", "annotator": "x"}, "decision-unknown", "better"),
        (decision(annotator=" "), "field-type", "annotator"),
        (decision(annotator=7), "field-type", "annotator"),
        (decision(better="a"), "decision-unknown", "better"),
        (decision(better=["A"]), "decision-unknown", "better"),
        (decision(better=None), "decision-unknown", "better"),
        (decision(seconds=-1), "number-out-of-range", "seconds"),
        (decision(seconds="9"), "field-type", "seconds"),
        (decision(seconds=float("nan")), "number-not-finite", "seconds"),
        (decision(comment=3), "field-type", "comment"),
        (decision(comment="\ud800"), "text-surrogate", "comment"),
        (decision(simulated="yes"), "field-type", "simulated"),
        (decision(task="t9"), "decision-task-unknown", "task"),
        (decision(better="B"), "decided-twice", "task"),
        (decision(annotator=" ann\t"), "decided-twice", "task"),
    ],
)
def test_a_bad_line_is_refused_with_file_and_line(tmp_path, line, code, place):
    path = decisions_in(tmp_path, decision(), "", decision(annotator="other"), line)
    with pytest.raises(DataError) as caught:
        read_decisions(path, tasks=KNOWN)
    assert caught.value.code == code
    assert caught.value.place == f"{path}:4{': ' * bool(place)}{place}"


def test_a_second_decision_names_the_line_of_the_first(tmp_path):
    path = decisions_in(tmp_path, decision("t2"), decision(), decision())
    with pytest.raises(DataError, match=f"as in {path}:2"):
        read_decisions(path, tasks=KNOWN)


@pytest.mark.parametrize(
    ("votes", "better", "confidence"),
    [
        ("A", "A", 1.0),
        ("AAB", "A", 2 / 3),
        ("BAB=", None, 0.5),
        ("AB", None, 0.5),
        ("==A", "equal", 2 / 3),
        ("BBB=A", "B", 0.6),
    ],
)
def test_more_than_half_of_the_votes_decide(votes, better, confidence):
    given = ["equal" if vote == "=" else vote for vote in votes]
    assert count_votes(given) == (better, confidence, len(votes))


@given(st.lists(st.sampled_from(["A", "B", "equal"]), min_size=1), st.randoms())
def test_neither_the_order_of_votes_nor_the_names_of_the_sides_decide(votes, rng):
    result = count_votes(votes)
    mixed = list(votes)
    rng.shuffle(mixed)
    assert count_votes(mixed) == result
    turned = {"A": "B", "B": "A", "equal": "equal", None: None}
    other = count_votes([turned[vote] for vote in votes])
    assert other == result._replace(better=turned[result.better])
