"""Trees: a shared prefix and branches that, put together, are the rows encoded alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel

from tests.support import tiny
from tests.support.texts import LLAMA_TEMPLATE, hostile_texts, write_tokenizer
from vlreward.collation.encoding import Encoder, Span, Tree
from vlreward.collation.picture_preparation import PicturePreparation
from vlreward.collation.templates import QwenTemplate, Template, TokenizerTemplate
from vlreward.collation.text import Tokenizer, load_tokenizer
from vlreward.errors import DataError, PictureError
from vlreward.records import Message, Part, Picture, Prompt, Response
from vlreward.world.tokenizer import TOKENIZER_FOLDER

PICTURES = [
    tiny.picture(seed, width=width, height=height)
    for seed, (width, height) in enumerate([(56, 56), (56, 56), (120, 60), (30, 170)])
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(TOKENIZER_FOLDER)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load_tokenizer(write_tokenizer(tmp_path_factory.mktemp("llama"), LLAMA_TEMPLATE))


def encoder(
    tokenizer: Tokenizer,
    *,
    max_length: int = 10_000,
    overflow: str = "truncate",
    template: Template | None = None,
    has_pictures: bool = True,
) -> Encoder:
    return Encoder(
        template or QwenTemplate(tokenizer, default_system=True),
        preparation=PicturePreparation() if has_pictures else None,
        image_token_id=tokenizer.control("<|image_pad|>") if has_pictures else None,
        num_axes=3 if has_pictures else 1,
        control_ids=frozenset(tokenizer.control_tokens.values()),
        max_length=max_length,
        overflow=overflow,
    )


def row(tree: Tree, index: int) -> Span:
    """A response's whole row."""
    prefix, branch = tree.prefix, tree.branches[index]
    return Span(
        ids=np.concatenate([prefix.ids, branch.ids]),
        positions=np.concatenate([prefix.positions, branch.positions], axis=1),
        pictures=(*prefix.pictures, *branch.pictures),
        grids=(*prefix.grids, *branch.grids),
    )


def assert_same(found: Span, expected: Span) -> None:
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.positions, expected.positions)
    assert found.pictures == expected.pictures
    assert found.grids == expected.grids


def decode(ids: Any, tokenizer: Tokenizer) -> str:
    text: str = tokenizer.hugging_face.decode(ids)
    return text


contents = st.lists(
    st.one_of(hostile_texts, st.sampled_from(PICTURES)), min_size=1, max_size=4
).map(tuple)


@settings(max_examples=80)
@given(
    content=contents,
    answers=st.lists(contents, min_size=1, max_size=4),
    max_length=st.sampled_from([60, 90, 10_000]),
)
def test_prefix_and_branch_are_the_row_encoded_alone(
    content: tuple[Part, ...],
    answers: list[tuple[Part, ...]],
    max_length: int,
    tokenizer: Tokenizer,
) -> None:
    given_encoder = encoder(tokenizer, max_length=max_length)
    responses = [Response(content=answer) for answer in answers]
    prompt = tiny.prompt(*content)
    try:
        alone = [given_encoder.encode(prompt, [response]) for response in responses]
    except DataError:
        with pytest.raises(DataError):
            given_encoder.encode(prompt, responses)
        return
    tree = given_encoder.encode(prompt, responses)
    for index, single in enumerate(alone):
        assert_same(row(tree, index), row(single, 0))
        assert tree.truncated_tokens[index] == single.truncated_tokens[0]
        assert len(tree.branches[index]) > 0


def test_the_whole_prompt_is_shared(tokenizer: Tokenizer) -> None:
    prompt = tiny.prompt(PICTURES[0], "Which one is red?")
    responses = [tiny.response("The left."), tiny.response("None of them.")]
    tree = encoder(tokenizer).encode(prompt, responses)
    assert decode(tree.prefix.ids, tokenizer).endswith("assistant\n")
    assert decode(tree.branches[0].ids, tokenizer) == "The left.<|im_end|>\n"
    assert decode(tree.branches[1].ids, tokenizer) == "None of them.<|im_end|>\n"
    assert tree.prefix.pictures == (PICTURES[0],)
    assert len(tree) == sum(map(len, (tree.prefix, *tree.branches)))


def test_responses_share_their_common_beginning(tokenizer: Tokenizer) -> None:
    responses = [tiny.response(PICTURES[0], " is red"), tiny.response(PICTURES[0], " is blue")]
    tree = encoder(tokenizer).encode(tiny.prompt("Draw."), responses)
    assert tree.prefix.pictures == (PICTURES[0],)
    assert decode(tree.branches[0].ids, tokenizer) == " red<|im_end|>\n"


def test_a_response_that_begins_another_keeps_its_end(tokenizer: Tokenizer) -> None:
    responses = [tiny.response("It is"), tiny.response("It is red")]
    tree = encoder(tokenizer).encode(tiny.prompt("Which?"), responses)
    assert [decode(branch.ids, tokenizer) for branch in tree.branches] == [
        "<|im_end|>\n",
        " red<|im_end|>\n",
    ]


@pytest.mark.parametrize("num", [1, 2, 5])
def test_identical_responses_keep_one_token_each(num: int, tokenizer: Tokenizer) -> None:
    tree = encoder(tokenizer).encode(tiny.prompt("Which?"), [tiny.response("This.")] * num)
    assert [len(branch) for branch in tree.branches] == [1] * num
    assert decode(tree.prefix.ids, tokenizer).endswith("This.<|im_end|>")


@pytest.mark.parametrize("answer", ["", "a"])
def test_an_answer_of_no_or_one_token_is_a_row(answer: str, tokenizer: Tokenizer) -> None:
    responses = [tiny.response(answer), tiny.response("Something else.")]
    tree = encoder(tokenizer).encode(tiny.prompt("Which?"), responses)
    assert decode(row(tree, 0).ids, tokenizer).endswith(f"assistant\n{answer}<|im_end|>\n")


def test_pictures_of_one_size_but_other_content_are_not_shared(tokenizer: Tokenizer) -> None:
    first, second = PICTURES[0], PICTURES[1]
    assert (first.width, first.height) == (second.width, second.height)
    responses = [tiny.response(first, "a"), tiny.response(second, "a")]
    tree = encoder(tokenizer).encode(tiny.prompt("Draw."), responses)
    assert tree.prefix.pictures == ()
    assert [branch.pictures for branch in tree.branches] == [(first,), (second,)]
    pad = tokenizer.control("<|image_pad|>")
    assert [int((branch.ids == pad).sum()) for branch in tree.branches] == [4, 4]


def test_the_same_picture_from_another_place_is_shared(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(TOKENIZER_FOLDER)
    original = PICTURES[0]
    assert original.data is not None
    path = tmp_path / "copy.png"
    path.write_bytes(original.data)
    copied = Picture(
        sha256=original.sha256, width=original.width, height=original.height, path=path
    )
    responses = [tiny.response(original, "a"), tiny.response(copied, "b")]
    tree = encoder(tokenizer).encode(tiny.prompt("Draw."), responses)
    assert tree.prefix.pictures == (original,)


@pytest.fixture(scope="module")
def rope_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("rope")
    models = {}
    for kind in tiny.VISION_KINDS:
        tiny.write_base_model(root / kind, kind)
        models[kind] = AutoModel.from_pretrained(root / kind)
    return models


def conversations() -> list[tuple[Prompt, list[Response]]]:
    rng = random.Random(0)

    def parts(pictures: Sequence[Picture]) -> list[Part]:
        return [tiny.words(rng, 1, 6), *(p for q in pictures for p in (q, tiny.words(rng, 1, 3)))]

    drawn = [
        (
            tiny.prompt(*parts(rng.sample(PICTURES, num_prompt))),
            [tiny.response(*parts(rng.sample(PICTURES, num_answer))) for _ in range(2)],
        )
        for num_prompt, num_answer in product(range(4), range(3))
    ]
    neighbours = tiny.prompt(*PICTURES), [tiny.response(*PICTURES[:2]), tiny.response("None.")]
    turns = Prompt(
        messages=(
            Message(role="user", content=(PICTURES[0], "And?")),
            Message(role="assistant", content=("So.", PICTURES[2])),
            Message(role="user", content=(PICTURES[3],)),
        )
    )
    return [*drawn, neighbours, (turns, [tiny.response("Yes."), tiny.response(PICTURES[1])])]


@pytest.mark.parametrize("kind", tiny.VISION_KINDS)
def test_positions_are_those_of_transformers(
    kind: str, rope_models: dict[str, Any], tokenizer: Tokenizer
) -> None:
    model = rope_models[kind]
    pad = tokenizer.control("<|image_pad|>")
    for prompt, responses in conversations():
        tree = encoder(tokenizer).encode(prompt, responses)
        for index in range(len(responses)):
            whole = row(tree, index)
            ids = torch.from_numpy(whole.ids)[None]
            expected, _ = model.get_rope_index(
                ids,
                mm_token_type_ids=(ids == pad).int(),
                image_grid_thw=torch.tensor(whole.grids) if whole.grids else None,
                attention_mask=torch.ones_like(ids),
            )
            np.testing.assert_array_equal(whole.positions, expected[:, 0].numpy())


def test_text_decoders_positions_count_up(llama: Tokenizer) -> None:
    plain = encoder(llama, template=TokenizerTemplate(llama), has_pictures=False)
    tree = plain.encode(tiny.prompt("Which?"), [tiny.response("This."), tiny.response("That.")])
    for index in range(2):
        whole = row(tree, index)
        np.testing.assert_array_equal(whole.positions, np.arange(len(whole))[None])


LONG = "the red square lies left of a blue circle and two small stars shine " * 3


def test_a_long_row_is_cut_to_the_limit_and_says_by_how_much(tokenizer: Tokenizer) -> None:
    prompt, responses = tiny.prompt(PICTURES[0], "Why?"), [tiny.response(LONG), tiny.response("No")]
    whole = encoder(tokenizer).encode(prompt, responses)
    limit = len(row(whole, 0)) - 7
    cut = encoder(tokenizer, max_length=limit).encode(prompt, responses)
    assert len(row(cut, 0)) == limit
    assert cut.truncated_tokens == (7, 0)
    np.testing.assert_array_equal(row(cut, 1).ids, row(whole, 1).ids)
    full, short = row(whole, 0).ids.tolist(), row(cut, 0).ids.tolist()
    assert short == full[: -7 - 2] + full[-2:]
    assert decode(short, tokenizer).endswith("<|im_end|>\n")


def test_a_row_exactly_as_long_as_the_limit_is_not_cut(tokenizer: Tokenizer) -> None:
    prompt, response = tiny.prompt("Why?"), tiny.response(LONG)
    length = len(encoder(tokenizer).encode(prompt, [response]))
    tree = encoder(tokenizer, max_length=length, overflow="refuse").encode(prompt, [response])
    assert tree.truncated_tokens == (0,)


@pytest.mark.parametrize("limit", range(20, 120))
def test_truncation_cuts_words_after_the_last_picture_or_refuses(
    limit: int, tokenizer: Tokenizer
) -> None:
    prompt = tiny.prompt("Why?", PICTURES[0])
    response = tiny.response("See ", PICTURES[2], " and ", PICTURES[3], " then " + LONG)
    whole = row(encoder(tokenizer).encode(prompt, [response]), 0)
    start, end = (tokenizer.control(f"<|vision_{name}|>") for name in ("start", "end"))
    num_with_pictures = len(whole) - whole.ids.tolist()[::-1].index(end)
    if limit < num_with_pictures + 2:
        with pytest.raises(DataError, match="Raise max_length"):
            encoder(tokenizer, max_length=limit).encode(prompt, [response])
        return
    tree = encoder(tokenizer, max_length=limit).encode(prompt, [response])
    cut = row(tree, 0)
    assert len(cut) == min(limit, len(whole))
    assert cut.pictures == whole.pictures
    assert [int((cut.ids == token).sum()) for token in (start, end)] == [3, 3]
    np.testing.assert_array_equal(cut.ids[-2:], whole.ids[-2:])
    np.testing.assert_array_equal(cut.ids[:-2], whole.ids[: len(cut) - 2])
    assert tree.truncated_tokens == (len(whole) - len(cut),)


def test_llamas_rows_keep_their_closing_token_when_cut(llama: Tokenizer) -> None:
    template = TokenizerTemplate(llama)
    prompt, response = tiny.prompt("Why?"), tiny.response(LONG)
    whole = encoder(llama, template=template, has_pictures=False).encode(prompt, [response])
    limit = len(whole) - 5
    cut = encoder(llama, template=template, has_pictures=False, max_length=limit).encode(
        prompt, [response]
    )
    ids = row(cut, 0).ids.tolist()
    full = row(whole, 0).ids.tolist()
    assert ids == [*full[:-6], full[-1]]
    assert ids[-1] == llama.control("<|eot_id|>")


def test_refusing_overflow_refuses_what_would_be_cut(tokenizer: Tokenizer) -> None:
    prompt, response = tiny.prompt("Why?"), tiny.response(LONG)
    length = len(encoder(tokenizer).encode(prompt, [response]))
    with pytest.raises(DataError, match=rf"{length} tokens; expected at most {length - 1} tokens"):
        encoder(tokenizer, max_length=length - 1, overflow="refuse").encode(prompt, [response])


@pytest.mark.parametrize("overflow", ["truncate", "refuse"])
def test_a_prompt_longer_than_the_limit_is_refused(overflow: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"Raise max_length.*prompts and pictures never are") as e:
        encoder(tokenizer, max_length=40, overflow=overflow).encode(
            tiny.prompt(LONG), [tiny.response("Yes.")]
        )
    assert e.value.code == "row-too-long"


def test_pictures_for_a_text_decoder_are_refused(llama: Tokenizer) -> None:
    plain = encoder(llama, template=TokenizerTemplate(llama), has_pictures=False)
    for prompt, response in [
        (tiny.prompt(PICTURES[0], "What?"), tiny.response("A square.")),
        (tiny.prompt("Draw."), tiny.response(PICTURES[0])),
    ]:
        with pytest.raises(DataError, match="text-only rows"):
            plain.encode(prompt, [response])


def test_a_picture_too_narrow_is_refused_with_its_row(tokenizer: Tokenizer) -> None:
    narrow = tiny.picture(0, width=603, height=3)
    with pytest.raises(PictureError, match="603x3"):
        encoder(tokenizer).encode(tiny.prompt(narrow), [tiny.response("A line.")])
