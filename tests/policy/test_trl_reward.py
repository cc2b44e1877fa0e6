"""TRL's conversations are scored as they are, their pictures with them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from PIL import Image

from tests.support import tiny
from vlreward.pictures import read_bytes
from vlreward.policy import trl_reward
from vlreward.policy.trl_reward import TrlReward
from vlreward.records import Message, Prompt
from vlreward.scoring import RewardModel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    folder = tmp_path_factory.mktemp("tiny") / "base"
    return tiny.reward_model(tiny.load_tiny(tiny.write_base_model(folder, "qwen2_5_vl")))


def drawing(seed: int) -> Image.Image:
    return Image.open(io.BytesIO(read_bytes(tiny.picture(seed))))


def shown(image: Image.Image | str, text: str) -> list[dict[str, Any]]:
    """A prompt as TRL's trainer hands it to a reward function."""
    parts = [{"type": "image", "image": image}, {"type": "text", "text": text}]
    return [{"role": "user", "content": parts}]


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": text}]


def test_rewards_are_those_of_the_model_with_the_pictures(model: RewardModel) -> None:
    first, second = drawing(1), drawing(2)
    prompts = [shown(first, "Which?"), shown(second, "Which?"), shown(first, "Which?")]
    rewards = TrlReward(model)(prompts, [said("Red."), said("Red."), said("Blue.")])
    expected = model.score("Which?", ["Red.", "Blue."], images=[first])
    assert [rewards[0], rewards[2]] == pytest.approx(expected, abs=1e-5)
    [other] = model.score("Which?", ["Red."], images=[second])
    assert rewards[1] == pytest.approx(other, abs=1e-5)
    assert rewards[0] != pytest.approx(rewards[1], abs=1e-4)


def test_completions_of_one_prompt_share_a_pass(model: RewardModel) -> None:
    prompts = [shown(drawing(1), "Which?") for _ in range(4)]
    real = model.checkpoint.network.forward
    with mock.patch.object(model.checkpoint.network, "forward", side_effect=real) as forward:
        TrlReward(model)(prompts, [said(text) for text in ("A", "B", "C", "D")])
    [batch] = [call.args[0] for call in forward.call_args_list]
    assert len(batch.structure) == 1 and len(batch.structure[0].branches) == 4


@pytest.mark.parametrize("column", ["image", "images"])
def test_pictures_may_come_in_a_column(model: RewardModel, column: str) -> None:
    picture = drawing(1)
    prompt = [{"role": "user", "content": "Which?"}]
    values = {"image": picture, "images": [picture]}
    [reward] = TrlReward(model)([prompt], [said("Red.")], **{column: [values[column]]})
    assert reward == pytest.approx(model.score("Which?", ["Red."], images=[picture])[0], abs=1e-5)


def test_plain_texts_are_scored_too_and_other_columns_ignored(model: RewardModel) -> None:
    rewards = TrlReward(model)(["Two plus two?"], ["Four."], answer=["4"], completion_ids=[[1]])
    assert rewards == pytest.approx(model.score("Two plus two?", ["Four."]), abs=1e-5)


def test_a_marker_in_a_text_is_text(model: RewardModel) -> None:
    [reward] = TrlReward(model)(["What does <image> mean?"], ["A tag."])
    message = Message(role="user", content=("What does <image> mean?",))
    assert [reward] == pytest.approx(model.score(Prompt(messages=(message,)), ["A tag."]), abs=1e-5)


def test_of_several_turns_the_last_is_scored(model: RewardModel) -> None:
    turns = [*said("Let me look."), {"role": "user", "content": "Well?"}, *said("Red.")]
    asked = [{"role": "user", "content": "Which?"}]
    [reward] = TrlReward(model)([asked], [turns])
    assert reward == pytest.approx(model.score([*asked, *turns[:2]], ["Red."])[0], abs=1e-5)


@pytest.fixture
def short_model(model: RewardModel) -> Iterator[RewardModel]:
    """Rows of more than 60 tokens are refused."""
    with (
        mock.patch.object(model.encoder, "max_length", 60),
        mock.patch.object(model.encoder, "overflow", "refuse"),
    ):
        yield model


def test_what_cannot_be_scored_is_none_and_harms_no_other(short_model: RewardModel) -> None:
    logged: dict[str, float] = {}
    asked = [{"role": "user", "content": "Which?"}]
    reward = TrlReward(short_model, name="skywork")
    with pytest.warns(UserWarning, match="No reward for some completions") as told:
        rewards = reward(
            [asked, asked, [*asked, {"role": "tool", "content": "7"}]],
            [said("Red."), said("Blue " * 100), said("Red.")],
            log_metric=logged.__setitem__,
        )
    assert len(told) == 2
    assert rewards[0] is not None and rewards[1:] == [None, None]
    assert logged == {"skywork/not_scored": pytest.approx(2 / 3)}


def test_trl_finds_its_name(model: RewardModel) -> None:
    assert TrlReward(model).__name__ == "vlreward"
    assert TrlReward(model, name="judge").__name__ == "judge"


def test_pictures_from_files(model: RewardModel, tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    drawing(1).save(path)
    [reward] = TrlReward(model)([shown(str(path), "Which?")], [said("Red.")])
    assert reward == pytest.approx(model.score("Which?", ["Red."], images=[path])[0], abs=1e-5)


@pytest.mark.parametrize(
    ("prompt", "completion", "columns"),
    [
        ([{"role": "system", "content": "Look."}], "Red.", {"image": [tiny.picture(1)]}),
        ("Which?", [], {}),
        ("Which?", [{"role": "assistant", "tool_calls": []}], {}),
        ("Which?", [{"role": "assistant", "content": None}], {}),
        ([{"role": "user", "content": [{"type": "text"}]}], "Red.", {}),
        ([{"role": "user", "content": [{"type": "image"}]}], "Red.", {}),
        ([3, 4], "Red.", {}),
        ("Which?", "Red.", {"image": [{"path": "a.png"}]}),
        ("Which?", "Red.", {"image": ["nowhere.png"]}),
    ],
)
def test_what_is_no_conversation_has_no_reward_and_is_told_once(
    model: RewardModel, prompt: Any, completion: Any, columns: dict[str, Any]
) -> None:
    reward = TrlReward(model)
    with pytest.warns(UserWarning, match="No reward for some completions"):
        assert reward([prompt], [completion], **columns) == [None]
    assert reward([prompt], [completion], **columns) == [None]  # not told again: no warning here


def test_a_torn_picture_that_pillow_has_not_read_yet_has_no_reward(
    model: RewardModel, tmp_path: Path
) -> None:
    path = tmp_path / "torn.png"
    drawing(1).save(path)
    path.write_bytes(path.read_bytes()[:-30])
    with Image.open(path) as torn, pytest.warns(UserWarning, match="picture-unreadable"):
        assert TrlReward(model)([shown(torn, "Which?")], ["Red."]) == [None]


def test_a_data_uri_is_a_picture(model: RewardModel) -> None:
    data = base64.b64encode(read_bytes(tiny.picture(1))).decode()
    prompt = shown(f"data:image/png;base64,{data}", "Which?")
    expected = model.score("Which?", ["Red."], images=[drawing(1)])
    assert TrlReward(model)([prompt], ["Red."]) == pytest.approx(expected, abs=1e-5)


def test_a_picture_that_comes_again_is_read_once(model: RewardModel) -> None:
    with mock.patch.object(trl_reward, "as_picture", side_effect=trl_reward.as_picture) as read:
        prompts = [shown(drawing(1), "Which?") for _ in range(6)]
        TrlReward(model)(prompts, ["Red."] * 6)
    assert read.call_count == 1
