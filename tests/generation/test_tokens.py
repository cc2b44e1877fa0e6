import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generation.making import endpoint, picture, request, user
from vlreward.errors import ConfigError
from vlreward.generation.requests import make_request
from vlreward.generation.tokens import estimated_input_tokens, worst_case
from vlreward.records import Picture

ENGLISH = (
    "The ball rolls down the slope and reaches the ground after about four seconds, because "
    "friction slows it only slightly. Its speed at the bottom is therefore close to twenty metres "
    "per second, as conservation of energy would suggest."
)


def tokens_of(*content, **fields):
    asked = endpoint(**fields)
    one = make_request((user(*content),), endpoint=asked, kind="test")
    return estimated_input_tokens(one, endpoint=asked)


def pictured(width, height):
    return Picture(sha256=f"{width}x{height}", width=width, height=height, data=b"")


def test_english_counts_a_token_for_about_each_word_and_sign():
    assert 44 <= tokens_of(ENGLISH) - tokens_of() <= 56


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (1024, 1024, 85 + 170 * 4),
        (2048, 4096, 85 + 170 * 6),
        (512, 512, 85 + 170),
        (513, 512, 85 + 170 * 2),
        (1, 1, 85 + 170),
        (20_000, 10, 85 + 170 * 4),
    ],
)
def test_pictures_count_by_the_documented_tiles_for_models_of_that_class(width, height, tokens):
    """The first two are the examples of OpenAI's guide."""
    model = {"model": "gpt-4o-2024-08-06"}
    assert tokens_of(pictured(width, height), **model) - tokens_of(**model) == tokens
    mini = {"model": "gpt-4o-mini"}
    extra = tokens_of(pictured(width, height), **mini) - tokens_of(**mini)
    assert extra == 2833 + 5667 * ((tokens - 85) // 170)


def test_the_configured_number_goes_before_every_rule():
    known = {"model": "gpt-4o", "tokens_per_picture": 77}
    assert tokens_of(pictured(3000, 3000), **known) - tokens_of(**known) == 77


def test_other_models_count_patches_of_28_pixels():
    assert tokens_of(pictured(280, 57)) - tokens_of() == 10 * 3


def test_the_worst_case_of_a_priced_model_with_an_unknown_rule_for_pictures_is_refused():
    one = make_request((user(picture()),), endpoint=endpoint(), kind="test")
    with pytest.raises(ConfigError, match="tokens_per_picture"):
        worst_case(one, endpoint=endpoint())
    free = endpoint(dollars_per_million_input_tokens=0.0, dollars_per_million_output_tokens=0.0)
    known = endpoint(tokens_per_picture=100)
    for asked in (free, known):
        assert worst_case(one, endpoint=asked).output_tokens == 1024


@settings(max_examples=50)
@given(st.text())
def test_the_worst_case_is_a_bound_by_bytes_and_never_below_the_estimate(text):
    one = request(text)
    worst = worst_case(one, endpoint=endpoint())
    assert worst.input_tokens >= len(text.encode("utf-8", "replace"))
    assert worst.input_tokens >= estimated_input_tokens(one, endpoint=endpoint())


def test_a_schema_counts_as_input():
    asked = endpoint(structured=True)
    plain, structured = (
        make_request((user("a"),), endpoint=asked, kind="test", json_schema=schema)
        for schema in (None, {"a": "b" * 400})
    )
    extra = estimated_input_tokens(structured, endpoint=asked) - estimated_input_tokens(
        plain, endpoint=asked
    )
    assert extra >= 40
    worst = [worst_case(one, endpoint=asked).input_tokens for one in (structured, plain)]
    assert worst[0] - worst[1] >= 400
