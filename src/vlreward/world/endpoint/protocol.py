"""OpenAI's chat-completions protocol: a request's body read and checked, replies' bodies written.

Source: https://platform.openai.com/docs/api-reference/chat. Read are `model`, `messages`, `n` and
`response_format`; streaming is refused, and all else has no effect but to make another request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeVar, get_args

from vlreward.errors import VlrewardError
from vlreward.world.endpoint.config import ModelName

MODELS: tuple[ModelName, ...] = get_args(ModelName)
TOKENS_A_PICTURE = 100
"""A text has as many tokens as words, a picture always this many."""

_ROLES = ("system", "developer", "user", "assistant")
_FORMATS = ("text", "json_object", "json_schema")
_MAX_CHOICES = 128
_OK = TypeVar("_OK")


class RequestError(VlrewardError):
    """A request was refused; `status` is HTTP's."""

    status: ClassVar[int] = 400


class KeyRefusedError(RequestError):
    """The key is missing or wrong."""

    status = 401


class UnknownError(RequestError):
    """There is no such path or model."""

    status = 404


class TooLargeError(RequestError):
    """The body is larger than is accepted."""

    status = 413


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """What a request asks."""

    model: ModelName
    text: str
    """The text of all messages, one part a line."""
    pictures: tuple[str, ...]
    """The sha-256 of every picture's file, in reading order."""
    num_choices: int
    wants_json: bool
    """Whether `response_format` asks for JSON."""
    properties: frozenset[str]
    """The fields that a JSON schema in `response_format` has."""
    digest: str
    """Tells distinct requests apart: the sha-256 of the body as canonical JSON."""

    @property
    def num_tokens(self) -> int:
        """Tokens of the prompt."""
        return count_tokens(self.text) + TOKENS_A_PICTURE * len(self.pictures)


def request_id(body: object) -> str:
    """The digest by which the bill lists a request's body; the order of its fields has no part."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def count_tokens(text: str) -> int:
    """Words, where white space parts them."""
    return len(text.split())


def parse_chat(content: bytes) -> ChatRequest:
    """Reads a request's body. Raises RequestError if it is malformed or asks for what is not here.

    The texts of an assistant's earlier turns count like any other.
    """
    body = _load(content)
    messages = _expect(body.get("messages"), list, place="messages", expected="a list of messages")
    if not messages:
        raise _malformed([], place="messages", expected="one message or more")
    texts: list[str] = []
    pictures: list[str] = []
    for number, message in enumerate(messages):
        _read_message(message, texts, pictures, place=f"messages[{number}]")
    if body.get("stream"):
        raise _malformed(body["stream"], place="stream", expected="false: nothing streams here")
    wants_json, properties = _read_format(body.get("response_format"))
    return ChatRequest(
        model=_read_model(body.get("model")),
        text="\n".join(texts),
        pictures=tuple(pictures),
        num_choices=_read_num_choices(body.get("n")),
        wants_json=wants_json,
        properties=properties,
        digest=request_id(body),
    )


class Completion(NamedTuple):
    """A reply's body and what it cost."""

    content: bytes
    num_prompt_tokens: int
    num_completion_tokens: int


def complete(request: ChatRequest, texts: Sequence[str]) -> Completion:
    """A reply with one choice a text; there is no clock in it, so that replies repeat."""
    return _completion(request, [(text, None, "stop") for text in texts])


def refuse_completion(request: ChatRequest, said: str | None) -> Completion:
    """A reply that refuses in words, or, without any, one that a filter has emptied."""
    choice = ("", None, "content_filter") if said is None else (None, said, "stop")
    return _completion(request, [choice] * request.num_choices)


def error_body(
    message: str, *, code: str, kind: str = "invalid_request_error", place: str | None = None
) -> bytes:
    """An error in OpenAI's shape."""
    return dump({"error": {"message": message, "type": kind, "param": place, "code": code}})


def model_list() -> bytes:
    """The body of GET /v1/models."""
    rows = [{"id": name, "object": "model", "created": 0, "owned_by": "world"} for name in MODELS]
    return dump({"object": "list", "data": rows})


def dump(body: Mapping[str, object]) -> bytes:
    """A body as JSON."""
    return json.dumps(body).encode()


def _completion(
    request: ChatRequest, choices: Sequence[tuple[str | None, str | None, str]]
) -> Completion:
    """The choices are content, refusal and finish_reason."""
    num_prompt = request.num_tokens
    num_completion = sum(count_tokens(text or said or "") for text, said, _ in choices)
    body = {
        "id": f"chatcmpl-{request.digest[:24]}",
        "object": "chat.completion",
        "created": 0,
        "model": request.model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": said},
                "logprobs": None,
                "finish_reason": reason,
            }
            for index, (text, said, reason) in enumerate(choices)
        ],
        "usage": {
            "prompt_tokens": num_prompt,
            "completion_tokens": num_completion,
            "total_tokens": num_prompt + num_completion,
        },
    }
    return Completion(dump(body), num_prompt, num_completion)


def _load(content: bytes) -> dict[str, object]:
    try:
        body: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _malformed(content[:80], place="body", expected="JSON") from error
    return _expect(body, dict, place="body", expected="a JSON object")


def _read_model(value: object) -> ModelName:
    name = _expect(value, str, place="model", expected="a model's name")
    for known in MODELS:
        if name == known:
            return known
    raise UnknownError(
        "model_not_found",
        value=name,
        place="model",
        expected=f"one of {', '.join(MODELS)}",
        mend="Change the name.",
    )


def _read_message(value: object, texts: list[str], pictures: list[str], *, place: str) -> None:
    message = _expect(value, dict, place=place, expected="an object")
    if message.get("role") not in _ROLES:
        expected = f"one of {', '.join(_ROLES)}"
        raise _malformed(message.get("role"), place=f"{place}.role", expected=expected)
    content: object = message.get("content")
    place = f"{place}.content"
    if isinstance(content, str):
        texts.append(content)
        return
    for number, part in enumerate(_expect(content, list, place=place, expected="text or parts")):
        _read_part(part, texts, pictures, place=f"{place}[{number}]")


def _read_part(value: object, texts: list[str], pictures: list[str], *, place: str) -> None:
    part = _expect(value, dict, place=place, expected="an object")
    if part.get("type") == "text":
        texts.append(_expect(part.get("text"), str, place=f"{place}.text", expected="a text"))
    elif part.get("type") == "image_url":
        place = f"{place}.image_url"
        image = _expect(part.get("image_url"), dict, place=place, expected="an object with a url")
        url = _expect(image.get("url"), str, place=f"{place}.url", expected="a data URI")
        pictures.append(hashlib.sha256(_decode(url, place=f"{place}.url")).hexdigest())
    else:
        raise _malformed(part.get("type"), place=f"{place}.type", expected="text or image_url")


def _decode(url: str, *, place: str) -> bytes:
    head, comma, data = url.partition(",")
    expected = "a picture as a data URI in base64 (nothing is fetched)"
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise _malformed(url[:80], place=place, expected=expected)
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed(url[:80], place=place, expected=expected) from error


def _read_num_choices(value: object) -> int:
    count = 1 if value is None else value
    if type(count) is not int or not 1 <= count <= _MAX_CHOICES:
        raise _malformed(value, place="n", expected=f"a whole number from 1 to {_MAX_CHOICES}")
    return count


def _read_format(value: object) -> tuple[bool, frozenset[str]]:
    """Whether JSON is asked for, and with which fields if it says so."""
    if value is None:
        return False, frozenset()
    place = "response_format"
    wanted = _expect(value, dict, place=place, expected="an object")
    kind = wanted.get("type")
    if kind not in _FORMATS:
        raise _malformed(kind, place=f"{place}.type", expected=f"one of {', '.join(_FORMATS)}")
    if kind != "json_schema":
        return kind == "json_object", frozenset()
    schema: object = wanted
    for key in ("json_schema", "schema", "properties"):
        place = f"{place}.{key}"
        outer = _expect(schema, dict, place=place, expected="an object")
        schema = _expect(outer.get(key), dict, place=place, expected="an object")
    return True, frozenset(_expect(schema, dict, place=place, expected="an object"))


def _expect(value: object, kind: type[_OK], *, place: str, expected: str) -> _OK:
    if not isinstance(value, kind):
        raise _malformed(value, place=place, expected=expected)
    return value


def _malformed(value: object, *, place: str, expected: str) -> RequestError:
    return RequestError(
        "malformed", value=value, place=place, expected=expected, mend="Change the request."
    )
