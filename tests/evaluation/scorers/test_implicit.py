import itertools
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from tests.evaluation.scorers.making import opened, patches_hash, rows, values, watch_patches
from tests.support import tiny
from vlreward.collation.packing import pad
from vlreward.errors import CheckpointError, DataError
from vlreward.evaluation.scorers.config import ImplicitConfig, ScorerConfig, WeightsConfig
from vlreward.evaluation.scorers.protocols import PatientScorer


def implicit(policy, reference=None, *, normalise="none", **settings):
    return opened(
        ScorerConfig(
            implicit=ImplicitConfig(
                policy=WeightsConfig(path=str(policy), **settings),
                reference=None if reference is None else WeightsConfig(path=str(reference)),
                normalise=normalise,
            )
        )
    )


def plain_log_probability(folder, scorer, prompt, response):
    """By transformers' own model and loss, the answer found by its text in the row."""
    auto = AutoModelForImageTextToText if prompt.pictures else AutoModelForCausalLM
    model = auto.from_pretrained(folder, dtype=torch.float32).eval()
    encoder = scorer.policy.encoder
    batch = pad([encoder.encode(prompt, [response])], encoder.preparation)
    pictures = (
        {"pixel_values": batch.pixel_values, "image_grid_thw": batch.image_grid_thw}
        if prompt.pictures
        else {}
    )
    ids = batch.input_ids[0]
    end = encoder.template._tokenizer.control("<|im_end|>")
    start = (ids == encoder.template._tokenizer.control("<|im_start|>")).nonzero()[-1].item()
    header = len(encoder.template._tokenizer.encode("assistant\n"))
    answer = range(start + 1 + header, (ids == end).nonzero()[-1].item() + 1)
    with torch.no_grad():
        logits = model(
            input_ids=batch.input_ids, position_ids=batch.position_ids, **pictures
        ).logits[0]
    logs = logits.log_softmax(dim=-1)
    return sum(logs[at - 1, ids[at]].item() for at in answer), len(answer)


@pytest.mark.parametrize(("kind", "tied"), [("qwen2_5_vl", False), ("qwen2_vl", True)])
def test_the_reward_is_the_answers_log_probability_with_its_end(kind, tied, tmp_path):
    folder = tiny.write_base_model(tmp_path, kind, tied=tied)
    scorer = implicit(folder)
    assert isinstance(scorer, PatientScorer)
    [(prompt, responses)] = given = rows(1)
    found = values(next(iter(scorer.score_many(given))))
    expected = [plain_log_probability(folder, scorer, prompt, one) for one in responses]
    assert found == pytest.approx([value for value, _ in expected], abs=2e-4)
    by_length = implicit(folder, normalise="length")
    assert values(next(iter(by_length.score_many(given)))) == pytest.approx(
        [value / number for value, number in expected], abs=1e-5
    )


def test_a_text_decoder_is_read_by_its_own_template(tmp_path):
    folder = tiny.write_base_model(tmp_path, "smollm2")
    scorer = implicit(folder)
    [(prompt, responses)] = given = rows(1, pictures=False)
    expected = [plain_log_probability(folder, scorer, prompt, one)[0] for one in responses]
    assert values(next(iter(scorer.score_many(given)))) == pytest.approx(expected, abs=2e-4)


def test_a_reference_takes_off_what_it_finds_probable_itself(tmp_path):
    policy, reference = (
        tiny.write_base_model(tmp_path / str(seed), "qwen2", seed=seed) for seed in (0, 1)
    )
    given = rows(3, pictures=False)

    def rewards(scorer):
        return torch.tensor([values(scores) for scores in scorer.score_many(given)])

    alone, other = rewards(implicit(policy)), rewards(implicit(reference))
    assert torch.equal(rewards(implicit(policy, policy)), torch.zeros(3, 2))
    assert torch.allclose(rewards(implicit(policy, reference)), alone - other, atol=1e-4)


def test_rewards_do_not_depend_on_what_else_is_scored_or_on_packing(tmp_path):
    folder = tiny.write_base_model(tmp_path, "qwen2_5_vl")
    scorer = implicit(folder)
    given = rows(6, num_responses=3)
    together = torch.tensor([values(scores) for scores in scorer.score_many(given)])
    alone = torch.tensor(
        [
            [values(next(iter(scorer.score_many([(prompt, [one])]))))[0] for one in responses]
            for prompt, responses in given
        ]
    )
    for packed in (True, False):
        policy = replace(scorer.policy, packed=packed, token_budget=40)
        other = replace(scorer, policy=policy).score_many(given)
        assert torch.allclose(torch.tensor(list(map(values, other))), together, atol=1e-4)
    assert torch.allclose(alone, together, atol=1e-4)


def test_the_pictures_reach_the_policy(tmp_path):
    scorer = implicit(tiny.write_base_model(tmp_path, "qwen2_5_vl"))
    seen = watch_patches(scorer.policy.backbone)
    given = rows(2)
    first = list(map(values, scorer.score_many(given)))
    prepared = [scorer.policy.encoder.preparation.prepare(p.pictures[0]) for p, _ in given]
    assert seen == [patches_hash(torch.cat([torch.from_numpy(one) for one in prepared]))]
    swapped = [
        (prompt.with_pictures(other.pictures), responses)
        for (prompt, responses), (other, _) in zip(given, given[::-1], strict=True)
    ]
    assert list(map(values, scorer.score_many(swapped))) != first


def test_a_long_answer_is_cut_and_a_long_prompt_refused_alone(tmp_path):
    scorer = implicit(tiny.write_base_model(tmp_path, "qwen2"), max_length=60)
    short, long = tiny.prompt("Why?"), tiny.prompt("why " * 80)
    answer = tiny.response("so " * 60)
    results = list(scorer.score_each([(short, [answer]), (long, [answer]), (short, [answer])]))
    assert isinstance(results[1], DataError) and results[1].code == "row-too-long"
    assert results[0][0].truncated_tokens > 0 and results[0][0].num_tokens == 60
    assert results[0] == results[2]


def test_a_model_that_scales_its_logits_or_scores_is_refused(tmp_path, monkeypatch):
    from transformers import LlamaForCausalLM

    from tests.evaluation.scorers.making import reward_folder

    with pytest.raises(CheckpointError, match="is-a-reward-model"):
        implicit(reward_folder(tmp_path, "qwen2"))
    plain = LlamaForCausalLM.forward
    calls = itertools.count()

    def scaled(self, *arguments, **keywords):
        next(calls)
        out = plain(self, *arguments, **keywords)
        out.logits = 2 * out.logits
        return out

    monkeypatch.setattr(LlamaForCausalLM, "forward", scaled)
    with pytest.raises(CheckpointError, match="logits-altered"):
        implicit(tiny.write_base_model(tmp_path / "llama", "llama"))
    assert next(calls) == 1
