"""A language model in one word, for command lines.

`openai:gpt-4o`, `model@https://…#KEY`, or `local:FOLDER`.
"""

from __future__ import annotations

from typing import NamedTuple

from vlreward.errors import ConfigError
from vlreward.generation.config import IN_PROCESS, EndpointConfig


class Provider(NamedTuple):
    """Where a provider's OpenAI-compatible API is, and which variable holds its key by custom."""

    base_url: str
    api_key_env: str


PROVIDERS = {
    "openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": Provider("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "gemini": Provider("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
}
"""By the name that stands before the model's."""
_LOCAL = "local"


def parse_endpoint(word: str) -> EndpointConfig:
    """Reads `PROVIDER:MODEL`, `MODEL@BASE_URL[#NAME_OF_THE_KEY'S_VARIABLE]`, or `local:MODEL`.

    The last is a folder or hub name, of a model that this process runs. An endpoint without a key
    is one's own and costs nothing. What else an endpoint can say (prices,
    limits, concurrency) goes into a configuration file.
    Raises ConfigError for anything else.
    """
    name, _, model = word.partition(":")
    if name in PROVIDERS and model:
        provider = PROVIDERS[name]
        return EndpointConfig(
            base_url=provider.base_url, model=model, api_key_env=provider.api_key_env
        )
    if name == _LOCAL and model:
        return _own(base_url=IN_PROCESS, model=model)
    model, _, address = word.rpartition("@")
    if not model or "://" not in address:
        raise ConfigError(
            "endpoint-word",
            value=word,
            place="command line",
            expected=f"{'|'.join(PROVIDERS)}|{_LOCAL}:MODEL, or MODEL@BASE_URL[#KEY_VARIABLE]",
            mend="For instance: openai:gpt-4o, or qwen@http://127.0.0.1:8000/v1",
        )
    base_url, _, key = address.partition("#")
    if key:
        return EndpointConfig(base_url=base_url, model=model, api_key_env=key)
    return _own(base_url=base_url, model=model)


def _own(*, base_url: str, model: str) -> EndpointConfig:
    return EndpointConfig(
        base_url=base_url,
        model=model,
        dollars_per_million_input_tokens=0.0,
        dollars_per_million_output_tokens=0.0,
    )


def describe_endpoint(endpoint: EndpointConfig) -> str:
    """The word that `parse_endpoint` reads back, as far as a word can say it."""
    if endpoint.is_in_process:
        return f"{_LOCAL}:{endpoint.model}"
    for name, provider in PROVIDERS.items():
        if provider == (endpoint.base_url, endpoint.api_key_env):
            return f"{name}:{endpoint.model}"
    key = f"#{endpoint.api_key_env}" if endpoint.api_key_env else ""
    return f"{endpoint.model}@{endpoint.base_url}{key}"
