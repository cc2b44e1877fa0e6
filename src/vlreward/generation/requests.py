"""A question to a language model as a value: equal questions have one key and are paid for once."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from PIL import ExifTags, Image

from vlreward.generation.config import EndpointConfig
from vlreward.pictures import open_rgb, read_bytes
from vlreward.records import Message, Part, Picture

JsonSchema = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """What is asked of which model.

    `seed` and `sample` only tell requests apart that are otherwise equal: they are part of the key
    and are not sent. `kind` names the prompt for statistics and is no part of the key.
    """

    messages: tuple[Message, ...]
    model: str
    max_output_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    json_schema: JsonSchema | None = None
    seed: int = 0
    sample: int = 0
    kind: str = field(default="other", compare=False)

    @property
    def key(self) -> str:
        """Sha-256 of all that decides the answer, pictures by their own; 64 hex digits."""
        body = {
            "messages": [
                [
                    message.role,
                    [
                        {"picture": part.sha256} if isinstance(part, Picture) else part
                        for part in joined(message.content)
                    ],
                ]
                for message in self.messages
            ],
            "model": self.model,
            "max_output_tokens": self.max_output_tokens,
            "temperature": None if self.temperature is None else float(self.temperature),
            "json_schema": self.json_schema,
            "seed": self.seed,
            "sample": self.sample,
            **({} if self.top_p is None else {"top_p": float(self.top_p)}),
        }
        text = json.dumps(body, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def pictures(self) -> Iterator[Picture]:
        """All pictures in reading order, repeats included."""
        for message in self.messages:
            yield from (part for part in message.content if isinstance(part, Picture))

    @property
    def texts(self) -> Iterator[str]:
        """All texts in reading order."""
        for message in self.messages:
            yield from (part for part in message.content if isinstance(part, str))


def make_request(
    messages: tuple[Message, ...],
    *,
    endpoint: EndpointConfig,
    kind: str,
    json_schema: JsonSchema | None = None,
    seed: int = 0,
    sample: int = 0,
) -> ChatRequest:
    """A request with the endpoint's settings; the schema is left out where it takes none."""
    return ChatRequest(
        messages=messages,
        model=endpoint.model,
        max_output_tokens=endpoint.max_output_tokens,
        temperature=endpoint.temperature,
        top_p=endpoint.top_p,
        json_schema=json_schema if endpoint.structured else None,
        seed=seed,
        sample=sample,
        kind=kind,
    )


def joined(content: tuple[Part, ...]) -> list[Part]:
    """Content with neighbouring texts joined and empty ones left out."""
    out: list[Part] = []
    for part in content:
        if isinstance(part, str) and out and isinstance(out[-1], str):
            out[-1] += part
        elif part != "":
            out.append(part)
    return out


def to_openai_messages(messages: tuple[Message, ...]) -> list[dict[str, object]]:
    """The messages in the form of OpenAI's chat API; pictures are data URIs.

    A message without pictures has a plain text as its content. Raises PictureError for a picture
    that went away or changed.
    """
    return [
        {"role": message.role, "content": _to_openai(joined(message.content))}
        for message in messages
    ]


def _to_openai(content: list[Part]) -> str | list[dict[str, object]]:
    if not any(isinstance(part, Picture) for part in content):
        return "".join(_sendable(part) for part in content if isinstance(part, str))
    return [
        {"type": "image_url", "image_url": {"url": _data_uri(part)}}
        if isinstance(part, Picture)
        else {"type": "text", "text": _sendable(part)}
        for part in content
    ]


def _sendable(text: str) -> str:
    """The text without lone surrogates, which no JSON in UTF-8 can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


class PlainFile(NamedTuple):
    """A picture's file as others read it as we do."""

    media_type: str
    data: bytes


def plain_file(picture: Picture) -> PlainFile:
    """A picture's own bytes where others read them as we do, else a PNG of it.

    Raises PictureError for a picture that went away or changed.
    """
    data = read_bytes(picture)
    media_type = _media_type(data)
    if media_type is not None and not _is_turned(data):
        return PlainFile(media_type, data)
    out = io.BytesIO()
    open_rgb(picture).save(out, "PNG")
    return PlainFile("image/png", out.getvalue())


def _data_uri(picture: Picture) -> str:
    media_type, data = plain_file(picture)
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def _media_type(data: bytes) -> str | None:
    """The type of a file that endpoints take as it is."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def _is_turned(data: bytes) -> bool:
    """Whether EXIF turns or mirrors the picture, which not every endpoint heeds."""
    with Image.open(io.BytesIO(data)) as image:
        return bool(image.getexif().get(ExifTags.Base.Orientation, 1) != 1)
