"""Endpoints in one word."""

import pytest

from vlreward.errors import ConfigError
from vlreward.generation.config import EndpointConfig
from vlreward.generation.spec import PROVIDERS, describe_endpoint, parse_endpoint


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_has_its_address_and_the_customary_variable_of_its_key(provider):
    found = parse_endpoint(f"{provider}:some-model:v1")
    assert found == EndpointConfig(
        base_url=PROVIDERS[provider].base_url,
        model="some-model:v1",
        api_key_env=PROVIDERS[provider].api_key_env,
    )
    assert describe_endpoint(found) == f"{provider}:some-model:v1"


@pytest.mark.parametrize(
    ("word", "model", "url", "key"),
    [
        ("qwen@http://127.0.0.1:8000/v1", "qwen", "http://127.0.0.1:8000/v1", None),
        ("org/a:b@https://x.org/v1#MY_KEY", "org/a:b", "https://x.org/v1", "MY_KEY"),
        ("a@b@https://x.org/v1", "a@b", "https://x.org/v1", None),
    ],
)
def test_any_other_endpoint_is_named_by_its_address(word, model, url, key):
    found = parse_endpoint(word)
    assert (found.model, found.base_url, found.api_key_env) == (model, url, key)
    assert describe_endpoint(found) == word


@pytest.mark.parametrize("word", ["", "gpt-4o", "openai:", "@http://x/v1", "m@x.org/v1"])
def test_words_that_name_no_endpoint_are_refused(word):
    with pytest.raises(ConfigError, match="openai"):
        parse_endpoint(word)


def test_a_key_in_the_word_is_not_repeated():
    with pytest.raises(ConfigError) as refused:
        parse_endpoint("m@https://x.org/v1#sk-secret-123")
    assert "sk-secret" not in str(refused.value)


def test_an_endpoint_without_a_key_costs_nothing_and_one_with_a_key_has_its_price_looked_up():
    own, paid = (parse_endpoint(f"m@https://x.org/v1{key}") for key in ("", "#KEY"))
    assert own.dollars_per_million_input_tokens == own.dollars_per_million_output_tokens == 0
    assert paid.dollars_per_million_input_tokens is None
