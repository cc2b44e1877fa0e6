import pytest
import torch

from tests.evaluation.scorers.making import (
    opened,
    patches_hash,
    reward_folder,
    rows,
    values,
    watch_patches,
)
from vlreward.evaluation.scorers.config import ScorerConfig, WeightsConfig
from vlreward.evaluation.scorers.protocols import PatientScorer
from vlreward.scoring import RewardModel


def config(folder, **settings):
    return ScorerConfig(reward_model=WeightsConfig(path=str(folder), **settings))


def test_a_value_head_scores_as_the_reward_model_does_and_sees_each_picture(tmp_path):
    folder = reward_folder(tmp_path)
    scorer = opened(config(folder))
    assert isinstance(scorer, PatientScorer)
    seen = watch_patches(scorer.checkpoint.network.backbone)
    given = rows(5)
    found = list(scorer.score_many(given))
    assert list(map(values, found)) == [
        values(scores) for scores in RewardModel.load(folder).score_many(given)
    ]
    prepared = [scorer.encoder.preparation.prepare(prompt.pictures[0]) for prompt, _ in given]
    patches = torch.cat([torch.from_numpy(one) for one in prepared])
    assert seen == [patches_hash(patches)]


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_sequence_classification_is_scored_as_transformers_scores_it(kind, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = reward_folder(tmp_path, kind, layout="sequence-classification")
    given = rows(4, pictures=False)
    found = [
        value for scores in opened(config(folder)).score_many(given) for value in values(scores)
    ]
    theirs = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = []
    for prompt, responses in given:
        for response in responses:
            turns = [
                {"role": "user", "content": prompt.messages[0].content[0]},
                {"role": "assistant", "content": response.text},
            ]
            ids = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)
            with torch.no_grad():
                expected.append(theirs(**ids).logits[0, 0].item())
    assert found == pytest.approx(expected, abs=1e-5)


def test_limits_that_are_not_named_stay_those_of_the_training(tmp_path):
    folder = reward_folder(tmp_path)
    own = opened(config(folder)).encoder
    limited = opened(config(folder, max_pixels=56 * 56, max_length=64)).encoder
    assert (limited.max_length, own.max_length) == (64, 32768)
    [(prompt, _)] = rows(1)
    large = prompt.pictures[0]
    assert limited.preparation.num_tokens(large) <= 4 <= own.preparation.num_tokens(large)
    assert limited.overflow == own.overflow
