"""Chat templates: a conversation becomes control tokens, texts and pictures in order.

Texts that touch are joined before they are tokenized, so that the ids are those of the whole
conversation rendered as one string, which is what other trainers and servers tokenize.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from itertools import chain
from typing import Any, NamedTuple, Protocol

from vlreward.collation.text import Tokenizer
from vlreward.errors import CheckpointError, DataError
from vlreward.records import Message, Part, Picture, Prompt, Response

Element = int | Picture
"""A token id, or a picture that stands for its run of image tokens."""

_QWEN_DEFAULT_SYSTEM = "You are a helpful assistant."
_TODAY = date(2024, 7, 26)
_DATE = _TODAY.strftime("%d %b %Y")
"""What templates are told is today (Llama's own default): a score must not age."""
_FIXED_CLOCK = (
    "{%- macro strftime_now(format) -%}{{- format"
    + "".join(f" | replace('%{one}', '{_TODAY.strftime(f'%{one}')}')" for one in "aAbBdjmyYHMSp")
    + " -}}{%- endmacro -%}"
)
"""Stands before a template, in the place of the clock that transformers gives it."""


class Template(Protocol):
    """Turns a prompt with a response (or with the opening of one) into elements."""

    def render(self, prompt: Prompt, response: Response | None) -> list[Element]:
        """The conversation's elements; without a response it ends where one would begin."""
        ...


class PictureMarkup(NamedTuple):
    """What a chat template writes in a picture's place, and what a row has there.

    `pieces` hold the picture once, for a run of image tokens.
    """

    placeholder: str
    pieces: Callable[[Picture], Sequence[Element | str]]


class QwenTemplate:
    """The template of Qwen2-VL, Qwen2.5-VL and Qwen3-VL.

    Each turn is `<|im_start|>role`, newline, content, `<|im_end|>`, newline. Qwen2-VL and
    Qwen2.5-VL begin with a default system message where the conversation has none; Qwen3-VL does
    not. A scored row ends in that last newline, as it does in LLaMA-Factory and ms-swift.
    """

    def __init__(self, tokenizer: Tokenizer, *, default_system: bool) -> None:
        self._tokenizer = tokenizer
        self._default_system = default_system
        self._start = tokenizer.control("<|im_start|>")
        self._end = tokenizer.control("<|im_end|>")
        self._vision_start = tokenizer.control("<|vision_start|>")
        self._vision_end = tokenizer.control("<|vision_end|>")

    def render(self, prompt: Prompt, response: Response | None) -> list[Element]:
        """See `Template.render`."""
        pieces: list[Element | str] = []
        if self._default_system and prompt.messages[0].role != "system":
            pieces += self._turn("system", (_QWEN_DEFAULT_SYSTEM,))
        for message in prompt.messages:
            pieces += self._turn(message.role, message.content)
        if response is None:
            pieces += [self._start, "assistant\n"]
        else:
            pieces += self._turn("assistant", response.content)
        return tokenized(pieces, self._tokenizer)

    def _turn(self, role: str, content: Iterable[Part]) -> list[Element | str]:
        pieces: list[Element | str] = [self._start, f"{role}\n"]
        for part in content:
            if isinstance(part, Picture):
                pieces += [self._vision_start, part, self._vision_end]
            else:
                pieces.append(part)
        return [*pieces, self._end, "\n"]


class TokenizerTemplate:
    """A model's own Jinja template, run in transformers' sandbox.

    With a `markup` it takes pictures: the template then gets each message's content as a list, as
    those of vision-language models want it. Special tokens in a message's text are replaced by
    marks before the template sees them, and put back as plain text afterwards: the template alone
    makes control tokens.
    """

    def __init__(self, tokenizer: Tokenizer, *, markup: PictureMarkup | None = None) -> None:
        """Raises CheckpointError if there is no template, or its text is not read piece by piece.

        The latter is so where a tokenizer reads the same text otherwise after a control token.
        """
        self._tokenizer = tokenizer
        self._markup = markup
        if not tokenizer.hugging_face.chat_template:
            raise CheckpointError(
                "chat-template-missing",
                value="a tokenizer without a chat template",
                place="tokenizer",
                expected="chat_template in tokenizer_config.json, or chat_template.jinja",
                mend="Use an instruction-tuned model, or add the template it is to have.",
            )
        self._source = _FIXED_CLOCK + tokenizer.hugging_face.get_chat_template()
        self._refuse_other_ids()

    def render(self, prompt: Prompt, response: Response | None) -> list[Element]:
        """See `Template.render`; without a markup the conversation must not hold pictures.

        Raises DataError if the template does not take the conversation.
        """
        messages = list(prompt.messages)
        if response is not None:
            messages.append(Message(role="assistant", content=response.content))
        texts = [part for one in messages for part in one.content if isinstance(part, str)]
        hidden = _Hidden(mark=_unused_character(texts), pattern=self._tokenizer.control_pattern)
        turns = [self._turn(message, hidden) for message in messages]
        rendered = self._apply(turns, tokenize=False, add_generation_prompt=response is None)
        pictures = [part for one in messages for part in one.content if isinstance(part, Picture)]
        return tokenized(self._split(rendered, hidden, pictures=pictures), self._tokenizer)

    def _turn(self, message: Message, hidden: _Hidden) -> dict[str, Any]:
        """A message as the template takes it, control tokens of its texts hidden."""
        if self._markup is None:
            assert all(isinstance(part, str) for part in message.content), "a text decoder"
            text = "".join(part for part in message.content if isinstance(part, str))
            return {"role": message.role, "content": hidden.hide(text)}
        content = [
            {"type": "text", "text": hidden.hide(part)}
            if isinstance(part, str)
            else {"type": "image"}
            for part in message.content
        ]
        return {"role": message.role, "content": content}

    def _apply(self, turns: Sequence[dict[str, Any]], **keywords: Any) -> Any:
        """What the template makes of the turns; it may raise anything, being others' code."""
        try:
            return self._tokenizer.hugging_face.apply_chat_template(
                turns, chat_template=self._source, date_string=_DATE, **keywords
            )
        except Exception as error:
            raise DataError(
                "chat-template-refuses",
                value=f"{type(error).__name__}: {error}",
                place="row",
                expected="a conversation that the model's chat template takes",
                mend="Some templates want user and assistant by turns, or no system message.",
            ) from error

    def _refuse_other_ids(self) -> None:
        """Holds a short conversation's ids against those of transformers' own way."""
        prompt = Prompt(messages=(Message(role="user", content=("Is it 1?",)),))
        messages = (*prompt.messages, Message(role="assistant", content=("No.",)))
        nothing = _Hidden(mark="", pattern=re.compile(r"(?!)"))
        turns = [self._turn(message, nothing) for message in messages]
        theirs = self._apply(turns, tokenize=True, return_dict=True)["input_ids"]
        if self.render(prompt, Response(content=("No.",))) != theirs:
            raise CheckpointError(
                "tokenizer-not-piecewise",
                value=type(self._tokenizer.hugging_face).__name__,
                place="tokenizer",
                expected="a tokenizer that reads a text the same after a control token",
                mend="Use a backbone with a byte-level tokenizer, as Llama 3, Qwen and SmolLM2.",
            )

    def _split(
        self, rendered: str, hidden: _Hidden, *, pictures: Sequence[Picture]
    ) -> list[Element | str]:
        """Control tokens of the template as ids, pictures, and texts with hidden words restored."""
        markup = self._markup
        left = iter(pictures)
        pieces: list[Element | str] = []
        end = num_placed = 0
        for match in self._tokenizer.control_pattern.finditer(rendered):
            pieces.append(hidden.restored(rendered[end : match.start()]))
            if markup is not None and match.group() == markup.placeholder:
                num_placed += 1
                picture = next(left, None)
                pieces += [] if picture is None else markup.pieces(picture)
            else:
                pieces.append(self._tokenizer.control(match.group()))
            end = match.end()
        if num_placed != len(pictures):
            raise DataError(
                "chat-template-refuses",
                value=f"{num_placed} places for {len(pictures)} pictures",
                place="row",
                expected="a chat template that has a place for each picture of the conversation",
                mend="Some templates take pictures in turns of the user alone.",
            )
        return [*pieces, hidden.restored(rendered[end:])]


class _Hidden:
    """Control tokens in users' texts, under marks that no text holds while a template runs."""

    def __init__(self, *, mark: str, pattern: re.Pattern[str]) -> None:
        self._mark = mark
        self._pattern = pattern
        self._words: list[str] = []

    def hide(self, text: str) -> str:
        """The text with marks."""

        def hide_one(match: re.Match[str]) -> str:
            self._words.append(match.group())
            return f"{self._mark}{len(self._words) - 1}{self._mark}"

        return self._pattern.sub(hide_one, text)

    def restored(self, text: str) -> str:
        """The text with its words again."""
        marks = f"{self._mark}(\\d+){self._mark}"
        return re.sub(marks, lambda found: self._words[int(found.group(1))], text)


def tokenized(pieces: Iterable[Element | str], tokenizer: Tokenizer) -> list[Element]:
    """Joins neighbouring texts, then replaces each by its ids."""
    elements: list[Element] = []
    text: list[str] = []
    for piece in [*pieces, None]:
        if isinstance(piece, str):
            text.append(piece)
            continue
        elements.extend(tokenizer.encode("".join(text)))
        text = []
        if piece is not None:
            elements.append(piece)
    return elements


def _unused_character(texts: Iterable[str]) -> str:
    """A private-use character that no text holds."""
    used = set().union(*texts)
    codes = chain(range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))
    return next(chr(code) for code in codes if chr(code) not in used)
