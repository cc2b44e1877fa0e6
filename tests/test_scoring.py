"""The Python API: every way to give a prompt, responses and pictures, and what is refused."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from tests.support import tiny
from vlreward.collation.config import CollationConfig
from vlreward.errors import CheckpointError, ConfigError, DataError, NonFiniteError, PictureError
from vlreward.modeling.checkpoints import save_checkpoint
from vlreward.pictures import admit
from vlreward.records import Prompt, Response
from vlreward.scoring import RewardModel

QUESTION = "Which colour is the square?"
RESPONSES = ["Red.", "It is blue, I think.", "Green <or> so."]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    folder = tiny.write_base_model(tmp_path_factory.mktemp("base"), "qwen2_5_vl")
    return tiny.reward_model(tiny.load_tiny(folder), max_length=200)


@pytest.fixture
def image() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, size=(60, 90, 3), dtype=np.uint8)
    return Image.fromarray(values)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def test_scores_come_in_the_order_of_the_responses(model: RewardModel) -> None:
    rewards = model.score(QUESTION, RESPONSES)
    assert len(rewards) == 3 and all(map(math.isfinite, rewards))
    for order in itertools.permutations(range(3)):
        permuted = model.score(QUESTION, [RESPONSES[index] for index in order])
        assert permuted == pytest.approx([rewards[index] for index in order], abs=1e-5)


def test_ranks_name_the_best_response_first(model: RewardModel) -> None:
    rewards = model.score(QUESTION, RESPONSES)
    ranked = model.rank(QUESTION, RESPONSES)
    assert sorted(ranked) == [0, 1, 2]
    assert [rewards[index] for index in ranked] == sorted(rewards, reverse=True)


def test_equal_rewards_keep_their_order_in_the_ranking(
    model: RewardModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RewardModel, "score", lambda *_, **__: [0.5, 2.0, 2.0, 0.5])
    assert model.rank(QUESTION, ["a", "b", "c", "d"]) == [1, 2, 0, 3]


def test_a_text_a_list_of_messages_and_a_prompt_are_the_same_prompt(model: RewardModel) -> None:
    expected = model.score(QUESTION, RESPONSES)
    assert model.score([{"role": "user", "content": QUESTION}], RESPONSES) == expected
    assert model.score(tiny.prompt(QUESTION), RESPONSES) == expected
    assert model.score(QUESTION, [tiny.response(text) for text in RESPONSES]) == expected
    assert model.score(QUESTION, tuple(RESPONSES)) == expected


def test_several_turns_and_a_system_message_count(model: RewardModel) -> None:
    turns = [
        {"role": "user", "content": "Look at this."},
        {"role": "assistant", "content": "I do."},
        {"role": "user", "content": QUESTION},
    ]
    system = [{"role": "system", "content": "Be brief."}, *turns]
    rewards = [model.score(given, ["Red."])[0] for given in (QUESTION, turns, system)]
    assert len(set(rewards)) == 3


def test_a_picture_may_be_a_path_bytes_an_image_or_a_record(
    model: RewardModel, image: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "square.png"
    path.write_bytes(png(image))
    ways: list[Any] = [path, str(path), path.read_bytes(), image, admit(path), admit(png(image))]
    rewards = [model.score(QUESTION, RESPONSES, images=[way]) for way in ways]
    assert all(found == rewards[0] for found in rewards)
    assert rewards[0] != model.score(QUESTION, RESPONSES)
    prompt = tiny.prompt(admit(path), QUESTION)
    assert model.score(prompt, RESPONSES) == rewards[0]


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16", "F", "CMYK", "YCbCr", "HSV", "La"]
)
def test_an_image_of_any_mode_is_scored(model: RewardModel, image: Image.Image, mode: str) -> None:
    if mode == "I;16":
        converted = Image.fromarray(np.asarray(image.convert("L"), dtype=np.uint16) * 200)
    elif mode == "La":
        converted = image.convert("LA").convert("La")
    else:
        converted = image.convert(mode)
    assert converted.mode == mode
    assert math.isfinite(model.score(QUESTION, ["Red."], images=[converted])[0])


def test_transparency_is_white_for_an_image_as_for_its_file(
    model: RewardModel, image: Image.Image
) -> None:
    clear = image.convert("RGBA")
    clear.putalpha(0)
    white = Image.new("RGB", image.size, "white")
    rewards = [model.score(QUESTION, ["Red."], images=[one]) for one in (clear, white, image)]
    assert rewards[0] == rewards[1] != rewards[2]


def test_an_opened_image_is_seen_upright_as_its_file_is(
    model: RewardModel, image: Image.Image, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = tmp_path / "sideways.jpg"
    image.save(path, exif=exif)
    with Image.open(path) as opened:
        assert model.score(QUESTION, RESPONSES, images=[opened]) == model.score(
            QUESTION, RESPONSES, images=[path]
        )


def test_markers_say_where_pictures_belong_and_without_them_they_come_first(
    model: RewardModel,
) -> None:
    one, other = tiny.picture(1), tiny.picture(2, width=90)

    def score(text: str) -> list[float]:
        return model.score(text, RESPONSES, images=[one, other])

    between = score("First <image> then <image> after.")
    expected = tiny.prompt("First ", one, " then ", other, " after.")
    assert between == model.score(expected, RESPONSES)
    assert score(QUESTION) == model.score(tiny.prompt(one, other, QUESTION), RESPONSES)
    assert between != score(QUESTION)


def test_the_order_of_pictures_counts(model: RewardModel) -> None:
    one, other = tiny.picture(1), tiny.picture(2, width=90)
    forward = model.score(QUESTION, ["Red."], images=[one, other])
    assert forward != model.score(QUESTION, ["Red."], images=[other, one])


def test_responses_may_hold_pictures(model: RewardModel) -> None:
    one, other = tiny.picture(1), tiny.picture(2, width=90)
    answers = [tiny.response(one), tiny.response("This: ", other)]
    rewards = model.score("Draw a square.", answers)
    assert rewards == model.score(tiny.prompt("Draw a square."), answers)


def test_a_marker_in_a_response_is_text_and_takes_no_picture_from_the_prompt(
    model: RewardModel,
) -> None:
    picture = tiny.picture(1)
    plain = model.score("What is it?", ["See <image>: red.", "Blue."], images=[picture])
    records = [tiny.response("See <image>: red."), tiny.response("Blue.")]
    assert plain == model.score(tiny.prompt(picture, "What is it?"), records)


def test_a_marker_in_a_record_is_text(model: RewardModel) -> None:
    answers = [tiny.response("An <image> tag."), tiny.response("No tag.")]
    assert model.score("What is HTML?", answers) == model.score(
        tiny.prompt("What is HTML?"), answers
    )


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "one text as responses": ({"responses": "Red."}, ConfigError, "responses: Red.; expected a"),
    "no responses": ({"responses": []}, ConfigError, "responses: none; expected a list of one"),
    "numbers as responses": ({"responses": [1, 2]}, ConfigError, "expected a list of texts"),
    "nothing as responses": ({"responses": None}, ConfigError, "expected a list of texts"),
    "an empty response": ({"responses": ["Red.", ""]}, DataError, "responses[1]: white space"),
    "a blank response": ({"responses": [" \n"]}, DataError, "answer-empty"),
    "an empty record": ({"responses": [Response(content=())]}, DataError, "answer-empty"),
    "an empty prompt": ({"prompt": ""}, DataError, "prompt-empty"),
    "an answered prompt": (
        {"prompt": [{"role": "assistant", "content": "Red."}]},
        DataError,
        "prompt-ends-with-assistant",
    ),
    "a number as prompt": ({"prompt": 7}, DataError, "prompt: "),
    "one path as images": ({"images": "a.png"}, ConfigError, "images: a.png; expected a list"),
    "one picture as images": ({"images": tiny.picture(0)}, ConfigError, "images: "),
    "numbers as images": ({"images": [7]}, ConfigError, "expected a list of paths"),
    "a marker too many": (
        {"prompt": "<image> and <image>", "images": [tiny.picture(0)]},
        DataError,
        "2 picture places in the text, 1 pictures",
    ),
    "a marker and no picture": ({"prompt": "<image>?"}, DataError, "1 picture places"),
    "pictures beside a Prompt": (
        {"prompt": tiny.prompt(QUESTION), "images": [tiny.picture(0)]},
        ConfigError,
        "1 images; expected none",
    ),
    "an empty response to a Prompt": (
        {"prompt": tiny.prompt(QUESTION), "responses": [""]},
        DataError,
        "answer-empty",
    ),
    "a missing file": ({"images": ["nowhere.png"]}, DataError, "nowhere.png"),
    "torn bytes": ({"images": [png(Image.new("RGB", (9, 9)))[:45]]}, DataError, "[picture-"),
    "bytes of no picture": ({"images": [b"GIF?"]}, DataError, "picture-unknown-format"),
    "a row too long": ({"prompt": "word " * 300}, DataError, "expected at most 200 tokens"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_scored_is_refused_with_a_sentence(model: RewardModel, case: str) -> None:
    changes, error, said = REFUSED[case]
    given: dict[str, Any] = {"prompt": QUESTION, "responses": RESPONSES} | changes
    with pytest.raises(error) as refused:
        model.score(given.pop("prompt"), given.pop("responses"), **given)
    assert said in str(refused.value)


def test_a_response_that_is_too_long_is_cut_and_the_score_says_so(model: RewardModel) -> None:
    long = tiny.response("word " * 300)
    [[short_score, long_score]] = model.score_many(
        [(tiny.prompt(QUESTION), [tiny.response("Red."), long])]
    )
    assert short_score.truncated_tokens == 0
    assert long_score.truncated_tokens > 50
    assert long_score.num_tokens == 200


def test_scoring_leaves_the_network_in_its_mode(model: RewardModel) -> None:
    network = model.checkpoint.network
    network.train()
    model.score(QUESTION, RESPONSES)
    assert network.training
    with pytest.raises(DataError):
        model.score("word " * 300, RESPONSES)
    assert network.training
    network.eval()
    model.score(QUESTION, RESPONSES)
    assert not network.training


def test_rewards_that_are_not_finite_are_no_rewards(tmp_path: Path) -> None:
    checkpoint = tiny.load_tiny(tiny.write_base_model(tmp_path, "qwen2_5_vl"))
    broken = tiny.reward_model(checkpoint)
    with torch.no_grad():
        checkpoint.network.head.summary.bias.fill_(math.inf)
    with pytest.raises(NonFiniteError, match="NaN or infinity among the rewards"):
        broken.score(QUESTION, RESPONSES)


def count(
    comparisons: list[tuple[Prompt, list[Response]]], seen: list[int]
) -> Iterator[tuple[Prompt, list[Response]]]:
    for index, comparison in enumerate(comparisons):
        seen.append(index)
        yield comparison


def test_many_comparisons_are_scored_lazily_and_in_order(model: RewardModel) -> None:
    comparisons = [
        (tiny.prompt(f"Number {n}?"), [tiny.response("word " * (1 + n % 7)), tiny.response("No.")])
        for n in range(150)
    ]
    seen: list[int] = []
    scores = iter(model.score_many(count(comparisons, seen)))
    assert seen == []
    first = next(scores)
    assert len(seen) == 64
    found = [first, *scores]
    assert len(found) == len(seen) == 150
    for index in (0, 63, 64, 127, 128, 149):
        prompt, responses = comparisons[index]
        assert [score.value for score in found[index]] == pytest.approx(
            model.score(prompt, responses), abs=1e-5
        )


def test_a_picture_that_goes_while_others_are_scored_costs_its_own_comparison_alone(
    model: RewardModel, tmp_path: Path
) -> None:
    Image.new("RGB", (60, 60), "red").save(tmp_path / "red.png")
    gone = tiny.prompt(admit(tmp_path / "red.png"), "Which colour?")
    comparisons = [
        (tiny.prompt("Number 1?"), [tiny.response("Yes."), tiny.response("No.")]),
        (gone, [tiny.response("Red."), tiny.response("Blue.")]),
        (tiny.prompt("word " * 300), [tiny.response("Long.")]),
        (tiny.prompt("Number 2?"), [tiny.response("Yes.")]),
    ]
    (tmp_path / "red.png").unlink()
    outcomes = list(model.score_each(comparisons))
    assert [type(outcome) for outcome in outcomes] == [list, PictureError, DataError, list]
    for index in (0, 3):
        expected = model.score(*comparisons[index])
        found = outcomes[index]
        assert isinstance(found, list)
        assert [score.value for score in found] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(PictureError):
        list(model.score_many(comparisons))


def test_numbers_that_are_not_finite_cost_their_own_comparison_alone(
    model: RewardModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparisons = [
        (tiny.prompt(f"Number {n}?"), [tiny.response("Yes."), tiny.response("No.")])
        for n in range(3)
    ]
    network = model.checkpoint.network

    def spoil(_module: Any, _inputs: Any, rewards: torch.Tensor) -> torch.Tensor:
        return torch.cat([rewards[:3], rewards[3:4] * math.nan, rewards[4:]])

    handle = network.register_forward_hook(spoil)
    try:
        outcomes = list(model.score_each(comparisons))
    finally:
        handle.remove()
    assert [type(outcome) for outcome in outcomes] == [list, NonFiniteError, list]


@pytest.fixture(scope="module")
def saved(model: RewardModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    settings = replace(model.settings, max_length=123)
    save_checkpoint(replace(model.checkpoint, settings=settings), folder)
    return folder


@pytest.mark.parametrize("as_given", [Path, str], ids=["path", "text"])
def test_a_saved_model_is_loaded_from_its_folder(
    model: RewardModel, saved: Path, as_given: Callable[[Path], Any]
) -> None:
    loaded = RewardModel.load(as_given(saved))
    assert loaded.packed
    assert loaded.encoder.max_length == 123
    assert loaded.score(QUESTION, RESPONSES) == pytest.approx(
        model.score(QUESTION, RESPONSES), abs=1e-6
    )


def test_the_caller_may_choose_precision_and_lengths(saved: Path) -> None:
    loaded = RewardModel.load(saved, dtype="bfloat16", collation=CollationConfig(max_length=77))
    assert loaded.encoder.max_length == 77
    weights = {p.dtype for p in loaded.checkpoint.network.backbone.parameters()}
    assert weights == {torch.bfloat16}
    assert loaded.checkpoint.network.head.summary.weight.dtype == torch.float32


@pytest.mark.parametrize("name", ["./nowhere", "nowhere", "a/b/c"])
def test_a_folder_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError) as refused:
        RewardModel.load(name)
    assert name in str(refused.value)


def test_a_device_that_is_not_there_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gpu.*expected cpu, cuda"):
        RewardModel.load(tmp_path, device="gpu")
