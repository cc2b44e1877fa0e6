import pytest

from tests.generation.making import endpoint
from vlreward.errors import ConfigError
from vlreward.generation.prices import find_pricing, pricing_of

NO_PRICES = {"dollars_per_million_input_tokens": None, "dollars_per_million_output_tokens": None}
OPENAI = {"base_url": "https://api.openai.com/v1", "model": "gpt-4o", **NO_PRICES}


def test_the_configured_price_goes_before_the_published_one():
    assert pricing_of(endpoint())(1_000_000, 500_000) == 2.0 + 4.0
    own = endpoint(
        **{
            **OPENAI,
            "dollars_per_million_input_tokens": 0.0,
            "dollars_per_million_output_tokens": 0.0,
        }
    )
    assert pricing_of(own)(10**6, 10**6) == 0


def test_the_published_price_is_known_without_the_network():
    pricing = pricing_of(endpoint(**OPENAI))
    assert pricing(1000, 100) == pytest.approx(1000 * 2.5e-6 + 100 * 10e-6)


@pytest.mark.parametrize(
    "settings",
    [{"base_url": "http://127.0.0.1:8000/v1"}, {"model": "my-own-model"}],
)
def test_a_price_that_is_not_known_is_refused_where_money_matters_saying_how_to_give_it(settings):
    one = endpoint(**{**OPENAI, **settings})
    assert find_pricing(one) is None
    with pytest.raises(ConfigError) as caught:
        pricing_of(one)
    assert caught.value.code == "price-unknown"
    assert "dollars_per_million_input_tokens" in caught.value.mend
    assert "0 and 0" in caught.value.mend
