import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.evaluation.scorers.making import opened, patches_hash, values, watch_patches
from tests.support import tiny
from vlreward.collation.packing import pad
from vlreward.errors import ConfigError, DataError
from vlreward.evaluation.scorers.config import ProcessConfig, ScorerConfig, WeightsConfig
from vlreward.evaluation.scorers.process import aggregate, steps_of
from vlreward.records import Message, Prompt

SHOWN = tiny.picture(3)
ASKED = tiny.prompt(SHOWN, "How many?")
LONG = tiny.response("Two left.\n\nThree right.\n \nSo five.")
SHORT = tiny.response("Five.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_base_model(tmp_path_factory.mktemp("process"), "qwen2_5_vl")


def process(folder, **settings):
    model = WeightsConfig(path=str(folder))
    return opened(ScorerConfig(process=ProcessConfig(model=model, **settings)))


def asked_step_by_step(folder, scorer, steps):
    """By transformers' own model: a conversation for each step, its next token's probabilities."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    encoder = scorer.model.encoder
    messages = []
    out = []
    for number, step in enumerate(steps):
        head = (SHOWN, "How many?", "\n\n### Solution Process:\n")
        content = ("### Question:\n", *head, step) if number == 0 else (step,)
        messages.append(Message(role="user", content=content))
        tree = encoder.encode(Prompt(messages=tuple(messages)), [tiny.response("+")])
        batch = pad([tree], encoder.preparation)
        with torch.no_grad():
            logits = model(
                input_ids=batch.input_ids,
                position_ids=batch.position_ids,
                pixel_values=batch.pixel_values,
                image_grid_thw=batch.image_grid_thw,
            ).logits[0]
        # the row ends in: the reply, the turn's end, a line break
        chosen = logits[-4, list(scorer.verdict_ids)].softmax(dim=0)
        out.append(chosen[0].item())
        messages.append(Message(role="assistant", content=("+",)))
    return out


def test_each_step_is_judged_after_all_before_it_in_one_pass(folder):
    scorer = process(folder)
    seen = watch_patches(scorer.model.backbone)
    [[long, short]] = scorer.score_steps([(ASKED, [LONG, SHORT])])
    patches = torch.from_numpy(scorer.model.encoder.preparation.prepare(SHOWN))
    assert seen == [patches_hash(torch.cat([patches, patches]))]
    steps = ["Two left.", "Three right.", "So five."]
    assert long == pytest.approx(asked_step_by_step(folder, scorer, steps), abs=1e-5)
    assert short == pytest.approx(asked_step_by_step(folder, scorer, ["Five."]), abs=1e-5)


@pytest.mark.parametrize("by", ["mean", "min", "last"])
def test_the_steps_make_the_answers_score(folder, by):
    scorer = process(folder, aggregate=by)
    [steps] = scorer.score_steps([(ASKED, [LONG, SHORT])])
    [scores] = scorer.score_many([(ASKED, [LONG, SHORT])])
    assert values(scores) == [aggregate(one, by=by) for one in steps]


def test_aggregates_are_what_they_are_called():
    steps = [0.5, 0.25, 0.75]
    assert [aggregate(steps, by=by) for by in ("mean", "min", "last")] == [0.5, 0.25, 0.75]


def test_an_answer_is_cut_at_empty_lines_and_pictures_stay_in_their_step():
    answer = tiny.response("One", SHOWN, " here.\n\n\n \nTwo\nlines.\n\n")
    paragraphs = steps_of(answer, cut=r"\n\s*\n")
    assert paragraphs == [("One", SHOWN, " here."), ("Two\nlines.",)]
    assert len(steps_of(answer, cut=r"\n")) == 3


def test_an_answer_without_a_step_fails_alone(folder):
    scorer = process(folder, steps="lines")
    empty, full = scorer.score_each([(ASKED, [SHORT, tiny.response(" \n")]), (ASKED, [SHORT])])
    assert isinstance(empty, DataError) and empty.code == "answer-empty"
    assert values(full) == values(next(scorer.score_many([(ASKED, [SHORT])])))


def test_a_verdict_must_be_one_token(folder):
    with pytest.raises(ConfigError, match="verdict-not-a-token"):
        process(folder, good="perfectly sound")
