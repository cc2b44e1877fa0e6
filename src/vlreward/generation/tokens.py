"""How many tokens a request takes: an estimate, and a bound for the worst case."""

from __future__ import annotations

import json
import math
import re
from typing import NamedTuple

from vlreward.errors import ConfigError
from vlreward.generation.config import EndpointConfig
from vlreward.generation.requests import ChatRequest
from vlreward.records import Picture


class TokenCount(NamedTuple):
    """Tokens into and out of a model."""

    input_tokens: int
    output_tokens: int


_PIECE = re.compile(r"[A-Za-z]+|[0-9]{1,3}|[^\S\n]+|\n+|[^\x00-\x7f]|[^\w\s]+|_")
_LETTERS_PER_TOKEN = 8
_TOKENS_PER_MESSAGE = 4
_MOST_EXTRA_TOKENS = 128
_MOST_EXTRA_TOKENS_PER_MESSAGE = 16
"""Room for what a chat template puts around the messages, a default system prompt included, and
around each."""

_TILE_RULES = (
    (re.compile(r"(?:.*/)?(?:chat)?gpt-4o-mini"), 2833, 5667),
    (re.compile(r"(?:.*/)?(?:chat)?gpt-(?:4o|4\.1(?!-mini|-nano)|4\.5)"), 85, 170),
)
"""Model, tokens a picture and tokens a tile, from OpenAI's guide on images and vision."""
_PATCH = 28
_MOST_PATCHES = 16_384


def estimated_input_tokens(request: ChatRequest, *, endpoint: EndpointConfig) -> int:
    """About how many input tokens the request takes; schemas count, as endpoints show them too."""
    texts = sum(_text_tokens(text) for text in request.texts)
    schema = 0 if request.json_schema is None else _text_tokens(json.dumps(request.json_schema))
    pictures = sum(_picture_tokens(picture, endpoint=endpoint) for picture in request.pictures)
    return texts + schema + pictures + _TOKENS_PER_MESSAGE * len(request.messages)


def worst_case(request: ChatRequest, *, endpoint: EndpointConfig) -> TokenCount:
    """The most tokens that the request can be billed for.

    A token is at least a byte of text in every byte-level vocabulary. Raises ConfigError if there
    are pictures, money is at stake and the model's rule for pictures is not known.
    """
    texts = sum(_num_bytes(text) for text in request.texts)
    schema = 0 if request.json_schema is None else _num_bytes(json.dumps(request.json_schema))
    pictures = list(request.pictures)
    if pictures:
        refuse_unknown_pictures(endpoint)
    shown = sum(_picture_tokens(picture, endpoint=endpoint) for picture in pictures)
    extra = _MOST_EXTRA_TOKENS + _MOST_EXTRA_TOKENS_PER_MESSAGE * len(request.messages)
    return TokenCount(texts + schema + shown + extra, request.max_output_tokens)


def guesses_pictures(endpoint: EndpointConfig) -> bool:
    """Whether what a picture costs is a guess: the model is paid for and its rule is not known."""
    is_known = endpoint.tokens_per_picture is not None or _tile_rule(endpoint.model) is not None
    return not is_known and _is_paid(endpoint)


def refuse_unknown_pictures(endpoint: EndpointConfig) -> None:
    """Raises ConfigError if what a picture costs is a guess, with which no cap can be kept."""
    if guesses_pictures(endpoint):
        raise ConfigError(
            "picture-tokens-unknown",
            value=endpoint.model,
            place="tokens_per_picture",
            expected="the most tokens that this model bills a picture as, to keep to the budget",
            mend="Set tokens_per_picture from the provider's page on pictures; 0 where there are "
            "none.",
        )


def _text_tokens(text: str) -> int:
    """Tokens as byte-pair vocabularies cut: by word, number of three digits, sign, line end.

    A blank belongs to the word after it; long words make several tokens.
    """
    count = 0
    for piece in _PIECE.findall(text):
        if piece[0].isascii() and piece[0].isalpha():
            count += math.ceil(len(piece) / _LETTERS_PER_TOKEN)
        elif piece[0] != " " or len(piece) > 1:
            count += 1
    return count


def _num_bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _is_paid(endpoint: EndpointConfig) -> bool:
    prices = (endpoint.dollars_per_million_input_tokens, endpoint.dollars_per_million_output_tokens)
    return prices != (0, 0)


def _tile_rule(model: str) -> tuple[int, int] | None:
    for pattern, base, per_tile in _TILE_RULES:
        if pattern.match(model):
            return base, per_tile
    return None


def _picture_tokens(picture: Picture, *, endpoint: EndpointConfig) -> int:
    """The configured number, else the model's documented rule, else Qwen2-VL's 28-pixel patches."""
    if endpoint.tokens_per_picture is not None:
        return endpoint.tokens_per_picture
    rule = _tile_rule(endpoint.model)
    if rule is not None:
        base, per_tile = rule
        return base + per_tile * _num_tiles(picture.width, picture.height)
    patches = math.ceil(picture.width / _PATCH) * math.ceil(picture.height / _PATCH)
    return min(patches, _MOST_PATCHES)


def _num_tiles(width: int, height: int) -> int:
    """Tiles of 512 pixels after fitting 2048 × 2048, then the shorter side to 768; never larger."""
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    tiles = [math.ceil(round(side * scale, 6) / 512) for side in (width, height)]
    return max(1, tiles[0]) * max(1, tiles[1])
