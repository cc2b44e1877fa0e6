"""What is found out of an endpoint before it is asked."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from tests.generation.making import endpoint
from tests.support.endpoint import truth
from vlreward.errors import EndpointError
from vlreward.generation.config import IN_PROCESS
from vlreward.generation.reaching import refuse_unreachable
from vlreward.world.endpoint.config import WorldEndpointConfig
from vlreward.world.endpoint.server import WorldEndpoint

KEY = "sk-of-the-world"


def test_an_endpoint_that_is_there_and_takes_the_key_is_asked_nothing() -> None:
    with WorldEndpoint(truth(), WorldEndpointConfig(api_key=KEY)) as world:
        asked = endpoint(base_url=world.base_url)
        refuse_unreachable(asked, api_key=KEY)
        refuse_unreachable(replace(asked, base_url=f"{world.base_url}/elsewhere"), api_key=KEY)
        assert not world.bill.answered
        with pytest.raises(EndpointError, match="endpoint-refused"):
            refuse_unreachable(asked, api_key="sk-of-another")


def test_an_address_where_nobody_listens_is_down() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        asked = endpoint(base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        with pytest.raises(EndpointError, match=r"ConnectError.*\[endpoint-down\]"):
            refuse_unreachable(asked, api_key=None)


def test_one_that_is_slow_to_answer_is_there() -> None:
    with socket.socket() as slow:
        slow.bind(("127.0.0.1", 0))
        slow.listen()
        address = f"http://127.0.0.1:{slow.getsockname()[1]}/v1"
        refuse_unreachable(endpoint(base_url=address, timeout_seconds=0.2), api_key=None)


def test_a_model_in_this_process_is_not_looked_for() -> None:
    refuse_unreachable(endpoint(base_url=IN_PROCESS), api_key=None)
