import math

import pytest

from tests.generation.making import endpoint
from vlreward import configuration
from vlreward.errors import ConfigError
from vlreward.generation.config import EndpointConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "api.example.org/v1"),
        ("base_url", "ftp://example.org"),
        ("base_url", "http://[::1"),
        ("model", " "),
        ("timeout_seconds", 0),
        ("timeout_seconds", math.inf),
        ("max_concurrency", 0),
        ("max_concurrency", 1001),
        ("max_attempts", 0),
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("max_output_tokens", 0),
        ("expected_output_tokens", -1),
        ("tokens_per_picture", -1),
        ("dollars_per_million_input_tokens", -1.0),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(field, value):
    with pytest.raises(ConfigError) as caught:
        endpoint(**{field: value})
    assert caught.value.place == field


def test_one_price_without_the_other_is_refused():
    with pytest.raises(ConfigError, match="both prices or neither"):
        endpoint(dollars_per_million_output_tokens=None)


@pytest.mark.parametrize(
    "url", ["https://me:hunter2@example.org/v1", "https://example.org/v1?key=hunter2"]
)
def test_an_address_that_holds_a_secret_is_refused_without_showing_it(url):
    with pytest.raises(ConfigError) as caught:
        endpoint(base_url=url)
    assert "hunter2" not in str(caught.value)


def test_a_key_where_its_variables_name_belongs_is_refused_without_showing_it():
    with pytest.raises(ConfigError) as caught:
        endpoint(api_key_env="sk-proj-123456")
    assert "sk-proj" not in str(caught.value) + repr(caught.value.value)


def test_it_is_written_and_read_as_yaml_with_its_docs_as_comments():
    config = endpoint(api_key_env="OPENAI_API_KEY", tokens_per_picture=1445)
    text = configuration.to_yaml(config)
    assert configuration.parse(text, EndpointConfig, place="test") == config
    assert "# The NAME of the environment variable" in text
