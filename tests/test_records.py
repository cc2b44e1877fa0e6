"""The nouns' algebra: swapping, identity, canonical content."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlreward.records import (
    Judgment,
    Message,
    Origin,
    Part,
    Picture,
    PreferencePair,
    Prompt,
    Response,
)

RED = Picture(sha256="a" * 64, width=4, height=3, data=b"red")
BLUE = Picture(sha256="b" * 64, width=4, height=3, data=b"blue")

parts = st.one_of(st.text(max_size=5), st.sampled_from([RED, BLUE]))
contents = st.lists(parts, max_size=4).map(tuple)
margins = st.none() | st.floats(allow_nan=False, allow_infinity=False)


def pair_of(
    question: tuple[Part, ...] = ("Which?",),
    chosen: tuple[Part, ...] = ("this",),
    rejected: tuple[Part, ...] = ("that",),
    *,
    judgment: Judgment | None = None,
) -> PreferencePair:
    return PreferencePair(
        prompt=Prompt(messages=(Message(role="user", content=question),)),
        chosen=Response(content=chosen),
        rejected=Response(content=rejected),
        judgment=judgment or Judgment(),
    )


@given(chosen=contents, rejected=contents, margin=margins)
def test_swapping_flips_the_responses_and_the_margin(
    chosen: tuple[Part, ...], rejected: tuple[Part, ...], margin: float | None
) -> None:
    pair = pair_of(chosen=chosen, rejected=rejected, judgment=Judgment(margin=margin))
    swapped = pair.swapped()
    assert (swapped.chosen, swapped.rejected) == (pair.rejected, pair.chosen)
    assert swapped.prompt == pair.prompt
    assert swapped.judgment.margin == (None if margin is None else -margin)


@given(chosen=contents, rejected=contents, margin=margins)
def test_swapping_twice_changes_nothing(
    chosen: tuple[Part, ...], rejected: tuple[Part, ...], margin: float | None
) -> None:
    judgment = Judgment(kind="person", confidence=0.75, margin=margin)
    pair = pair_of(chosen=chosen, rejected=rejected, judgment=judgment)
    assert pair.swapped().swapped() == pair
    assert pair.swapped().swapped().judgment == judgment


def test_an_id_is_the_contents_and_not_the_origins() -> None:
    pair = pair_of()
    elsewhere = dataclasses.replace(
        pair, origin=Origin(source="other", row_id="9"), judgment=Judgment(confidence=0.1)
    )
    assert elsewhere.id == pair.id
    assert elsewhere == pair
    assert len({elsewhere, pair}) == 1


def test_an_id_stays_the_same_over_versions() -> None:
    assert pair_of(("See ", RED)).id == ("efc97e54550b38a35201f1faffc37ba9")


@pytest.mark.parametrize(
    "other",
    [
        pair_of().swapped(),
        pair_of(("Which one?",)),
        pair_of(chosen=("this", RED)),
        pair_of(rejected=("thatt",)),
        pair_of((RED, "Which?")),
    ],
)
def test_another_content_has_another_id(other: PreferencePair) -> None:
    assert other.id != pair_of().id


def test_another_role_has_another_id() -> None:
    system = Message(role="system", content=("Which?",))
    other = dataclasses.replace(pair_of(), prompt=Prompt(messages=(system,)))
    assert other.id != pair_of().id


@given(words=st.lists(st.text(max_size=4), min_size=1, max_size=5))
def test_how_a_text_is_cut_into_parts_does_not_count(words: list[str]) -> None:
    assert pair_of(tuple(words)).id == pair_of(("".join(words),)).id


def test_a_picture_between_two_texts_keeps_its_place() -> None:
    ids = {pair_of(content).id for content in [(RED, "ab"), ("a", RED, "b"), ("ab", RED)]}
    assert len(ids) == 3


def test_a_text_that_looks_like_a_pictures_hash_is_no_picture() -> None:
    assert pair_of((RED,)).id != pair_of((f'{{"picture":"{RED.sha256}"}}',)).id


def test_any_text_has_an_id_even_a_lone_surrogate() -> None:
    assert len(pair_of(("\ud83d",)).id) == 32


def test_pictures_come_prompt_first_then_chosen_then_rejected() -> None:
    pair = pair_of((RED, "?", RED), chosen=(BLUE,), rejected=("none",))
    assert list(pair.pictures) == [RED, RED, BLUE]
    assert pair.prompt.pictures == (RED, RED)
    assert pair.has_pictures
    assert not pair_of().has_pictures


def test_a_responses_text_leaves_its_pictures_out() -> None:
    response = Response(content=("see ", RED, "here"))
    assert response.text == "see here"
    assert response.pictures == (RED,)


def test_who_wrote_a_response_does_not_count_for_equality() -> None:
    assert Response(content=("a",), model="one") == Response(content=("a",), model="two")


def test_a_picture_is_its_hash_wherever_it_lies() -> None:
    other = Picture(sha256=RED.sha256, width=1, height=1, data=b"elsewhere")
    assert other == RED
    assert hash(other) == hash(RED)


def test_a_picture_needs_a_path_or_data() -> None:
    with pytest.raises(AssertionError):
        Picture(sha256="a" * 64, width=1, height=1)


def test_a_prompts_id_is_its_content_and_not_how_its_text_is_cut() -> None:
    whole, cut = pair_of(("Which?", RED)).prompt, pair_of(("Whi", "ch?", RED)).prompt
    assert whole.id == cut.id
    assert len({whole.id, pair_of(("Which?", BLUE)).prompt.id, pair_of().prompt.id}) == 3


def test_a_prompt_with_other_pictures_keeps_its_words_in_their_places() -> None:
    prompt = pair_of(("Which", RED, "or", RED, "?")).prompt
    changed = prompt.with_pictures([BLUE, RED])
    assert changed.messages[0].content == ("Which", BLUE, "or", RED, "?")
    assert changed.with_pictures([RED, RED]) == prompt
