"""Judges in this process: random tiny checkpoints of true classes see pictures and say something.

What they say has no verdict, so a wrapper puts one behind it; that the verdict depends on the order
shows that it went through the judge.
"""

from __future__ import annotations

import json

import pytest
import torch

from tests.evaluation.judges.making import TOKENS_PER_TILE, duel, write_internvl
from tests.evaluation.scorers.making import opened, patches_hash
from tests.support import tiny
from vlreward.errors import CheckpointError
from vlreward.evaluation.judges.local import load_generator
from vlreward.evaluation.judges.respondents import LocalRespondent, Question, Said
from vlreward.evaluation.outcomes import Vote
from vlreward.evaluation.scorers.config import JudgeConfig, ScorerConfig, WeightsConfig
from vlreward.generation.outcomes import Failure
from vlreward.generation.reasoning import Generated
from vlreward.records import Response


def write(folder, kind):
    return write_internvl(folder) if kind == "internvl" else tiny.write_base_model(folder, kind)


def weights(folder):
    return WeightsConfig(path=str(folder), dtype="float32")


def watch(generator):
    """The hashes of what each pass gives the vision encoder."""
    seen = []

    def note(_, arguments, keywords):
        pixels = keywords["pixel_values"] if "pixel_values" in keywords else arguments[0]
        seen.append(patches_hash(pixels))

    inner = generator.model.model
    tower = inner.visual if hasattr(inner, "visual") else inner.vision_tower
    tower.register_forward_pre_hook(note, with_kwargs=True)
    return seen


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl", "internvl"])
def test_each_class_is_asked_in_both_orders_and_sees_the_pictures(kind, tmp_path):
    folder = write(tmp_path / kind, kind)
    config = ScorerConfig(judge=JudgeConfig(local=weights(folder), max_new_tokens=3))
    judge = opened(config)
    generator = judge.respondent.generator
    seen = watch(generator)
    one, other = tiny.picture(1), tiny.picture(2, width=90)
    [ballot] = judge.vote_each([duel(question=(one, "and", other))])
    assert [vote.swapped for vote in ballot.votes] == [False, True]
    assert {vote.failure for vote in ballot.votes} <= {"verdict-unreadable", "empty"}
    prepared = [
        torch.from_numpy(generator.encoder.preparation.prepare(each)) for each in (one, other)
    ]
    assert seen == [patches_hash(torch.cat(prepared))] * 2


def test_internvl_reads_a_prompt_as_transformers_own_parts_do(tmp_path):
    folder = write_internvl(tmp_path)
    generator = load_generator(weights(folder), max_new_tokens=4)
    shown = tiny.picture(3, width=84, height=28)
    prompt = tiny.prompt(shown, "What is <|im_end|> here?", system="Be brief.")
    span = generator.encoder.encode_opening(prompt)
    tiles = generator.encoder.preparation
    number = tiles.grid(shown).height
    assert number > 1 and len(tiles.prepare(shown)) == number
    context = "<IMG_CONTEXT>" * TOKENS_PER_TILE * number
    before = (
        f"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<img>{context}</img>\nWhat is "
    )
    after = " here?<|im_end|>\n<|im_start|>assistant\n"
    tokenizer = generator.tokenizer
    text = [*tokenizer.hugging_face(before + "@").input_ids]
    assert span.ids.tolist()[: len(text) - 2] == text[:-2]
    assert span.ids.tolist()[-6:] == tokenizer.hugging_face("@" + after).input_ids[-6:]
    inside = tokenizer.hugging_face.decode(span.ids)
    assert inside.replace(context, "") == (before + "<|im_end|>" + after).replace(context, "")
    assert (span.ids == tokenizer.control("<|im_end|>")).sum() == 2
    drawn = generator.sample(prompt, num_responses=2, seed=0)
    assert drawn[0] == drawn[1]
    inputs = generator._inputs(span)
    expected = generator.model.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert (
        drawn[0].response.text
        == tokenizer.hugging_face.decode(expected[0, len(span) :], skip_special_tokens=True).strip()
    )


def test_an_internvl_whose_files_do_not_fit_each_other_is_refused(tmp_path):
    folder = write_internvl(tmp_path)
    path = folder / "config.json"
    values = json.loads(path.read_text()) | {"image_token_id": 5}
    path.write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="tokenizer-misfit"):
        load_generator(weights(folder), max_new_tokens=4)
    path.write_text(json.dumps(values | {"image_token_id": 6146}))
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match="preprocessor-unreadable"):
        load_generator(weights(folder), max_new_tokens=4)
    path.write_text(json.dumps(values | {"vision_config": "none"}))
    with pytest.raises(CheckpointError, match="model-config-unknown"):
        load_generator(weights(folder), max_new_tokens=4)


class Scripted:
    """Answers by a function of the prompt's text and the seed."""

    def __init__(self, script):
        self.script = script
        self.seeds = []

    def sample(self, prompt, *, num_responses, seed):
        self.seeds.append(seed)
        text = "".join(part for part in prompt.messages[0].content if isinstance(part, str))
        return [
            Generated(response=Response(content=(self.script(text),)), is_cut=False)
        ] * num_responses


def test_the_reply_of_a_local_model_is_read_without_its_thinking(tmp_path):
    judge = opened(
        ScorerConfig(
            judge=JudgeConfig(
                local=weights(tiny.write_base_model(tmp_path, "qwen2")),
                form="brackets",
                num_votes=2,
                seed=7,
            )
        )
    )
    said = Scripted(
        lambda text: (
            "<think>[[B]]</think> [[A]]"
            if text.index("Left") < text.index("Right")
            else "<think>[[A]]</think> [[B]]"
        )
    )
    object.__setattr__(judge.respondent, "generator", said)
    [ballot] = judge.vote_each([duel()])
    assert ballot.votes == (Vote(False, 0), Vote(False, 0), Vote(True, 0), Vote(True, 0))
    assert said.seeds == [7, 8, 7, 8]


def test_a_question_that_does_not_fit_fails_alone(tmp_path):
    generator = load_generator(
        WeightsConfig(path=str(tiny.write_base_model(tmp_path, "qwen2_vl")), max_length=40),
        max_new_tokens=2,
    )
    questions = [
        Question(messages=tiny.prompt(text).messages, kind="test") for text in ("long " * 50, "?")
    ]
    noted = []
    long, short = LocalRespondent(generator=generator).answer(
        questions, progress=lambda note="": noted.append(note)
    )
    assert isinstance(long, Failure) and long.reason == "rejected" and "row-too-long" in long.detail
    assert isinstance(short, Said) or short.reason == "empty"
    assert len(noted) == 2
