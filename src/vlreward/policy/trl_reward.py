"""A reward function for TRL's online trainers (GRPO, RLOO) that sees the pictures.

reward = TrlReward(RewardModel.load("runs/mine/model"))
GRPOTrainer(model=…, reward_funcs=reward, train_dataset=…)

TRL hands a reward model that is a module the chat template's text and no pictures; a function gets
the conversations themselves, pictures in their places.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast, get_args

from PIL import Image

from vlreward.errors import DataError, VlrewardError
from vlreward.records import Message, Part, Picture, Prompt, Response, Role
from vlreward.scoring import ImageInput, RewardModel, as_picture

Conversation = Sequence[Mapping[str, Any]]


class TrlReward:
    """Rewards of completions, in one pass for all those of a prompt."""

    def __init__(self, model: RewardModel, *, name: str = "vlreward") -> None:
        """`name` is what TRL's logs call it."""
        self.__name__ = name
        self._model = model
        self._told: set[str] = set()

    def __call__(
        self,
        prompts: Sequence[str | Conversation],
        completions: Sequence[str | Conversation],
        *,
        images: Sequence[Sequence[ImageInput] | None] | None = None,
        image: Sequence[ImageInput | None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **_columns: Any,
    ) -> list[float | None]:
        """One reward for each completion, None (TRL's sign for none) where it cannot be scored.

        Prompts and completions are texts or lists of messages, as TRL gives them; of a completion
        of several turns, the last one is scored and the others belong to its prompt. Pictures are
        taken from the messages' parts or, where these hold none, from the data's columns `images`
        or `image`. The share that could not be scored is logged as `<name>/not_scored`, and the
        first of each kind is told in a warning.
        """
        columns = _pictures_of_rows(images, image, num_rows=len(prompts))
        groups: dict[Prompt, list[tuple[int, Response]]] = {}
        reader = _Conversations()
        rows = zip(prompts, completions, columns, strict=True)
        for index, (prompt, completion, pictures) in enumerate(rows):
            try:
                record, response = reader.read(prompt, completion, pictures)
            except DataError as error:
                self._tell(error)
                continue
            groups.setdefault(record, []).append((index, response))
        rewards: list[float | None] = [None] * len(prompts)
        for index, reward in self._rewards(groups):
            rewards[index] = reward
        if log_metric is not None:
            log_metric(f"{self.__name__}/not_scored", rewards.count(None) / max(1, len(rewards)))
        return rewards

    def _rewards(
        self, groups: Mapping[Prompt, Sequence[tuple[int, Response]]]
    ) -> Iterator[tuple[int, float]]:
        """The rewards of all that can be scored, by their places."""
        comparisons = [(prompt, [r for _, r in group]) for prompt, group in groups.items()]
        outcomes = self._model.score_each(comparisons)
        for (prompt, group), outcome in zip(groups.items(), outcomes, strict=True):
            if not isinstance(outcome, VlrewardError):
                yield from ((i, score.value) for (i, _), score in zip(group, outcome, strict=True))
            elif len(group) > 1:  # one alone may be too long
                for one in group:
                    yield from self._rewards({prompt: [one]})
            else:
                self._tell(outcome)

    def _tell(self, error: VlrewardError) -> None:
        """Warns of a completion without a reward, of each kind once."""
        if error.code not in self._told:
            self._told.add(error.code)
            warnings.warn(f"No reward for some completions: {error}", stacklevel=3)


def _pictures_of_rows(
    images: Sequence[Sequence[ImageInput] | None] | None,
    image: Sequence[ImageInput | None] | None,
    *,
    num_rows: int,
) -> list[list[ImageInput]]:
    """Each row's pictures out of TRL's two kinds of columns."""
    if images is not None:
        return [list(some or ()) for some in images]
    if image is not None:
        return [[] if one is None else [one] for one in image]
    return [[] for _ in range(num_rows)]


class _Conversations:
    """Reads TRL's conversations; a picture that comes again and again is admitted once."""

    def __init__(self) -> None:
        self._met: dict[str, Picture] = {}

    def read(
        self,
        prompt: str | Conversation,
        completion: str | Conversation,
        pictures: Sequence[ImageInput],
    ) -> tuple[Prompt, Response]:
        """Raises DataError where they cannot be read."""
        turns = self._messages("user", prompt)
        *earlier, answer = self._messages("assistant", completion)
        turns += earlier
        has_pictures = any(isinstance(part, Picture) for turn in turns for part in turn.content)
        if pictures and not has_pictures:
            asked = next((i for i, turn in enumerate(turns) if turn.role == "user"), None)
            if asked is None:
                raise _unreadable("pictures, and no turn of the user", expected="one to show them")
            shown = (*map(self._picture, pictures), *turns[asked].content)
            turns[asked] = replace(turns[asked], content=shown)
        return Prompt(messages=tuple(turns)), Response(content=answer.content)

    def _messages(self, role: Role, given: str | Conversation) -> list[Message]:
        """A conversation, or a text as one turn of a role."""
        if isinstance(given, str):
            return [Message(role=role, content=(given,))]
        if not given or not all(isinstance(turn, Mapping) for turn in given):
            raise _unreadable(repr(given)[:80], expected="a text, or one or more messages")
        return [self._message(turn.get("role"), turn.get("content")) for turn in given]

    def _message(self, role: object, content: object) -> Message:
        """A turn; a part that is neither text nor a picture, or another role, is refused."""
        if role not in get_args(Role):
            raise _unreadable(f"a turn of {role!r}", expected=", ".join(get_args(Role)))
        if isinstance(content, str):
            return Message(role=cast(Role, role), content=(content,))
        if not isinstance(content, Sequence):
            raise _unreadable(f"a turn with the content {content!r}", expected="text, or parts")
        return Message(role=cast(Role, role), content=tuple(map(self._part, content)))

    def _part(self, part: object) -> Part:
        match part:
            case {"type": "image", "image": image} if image is not None:
                return self._picture(image)
            case {"type": "text", "text": str(text)}:
                return text
            case _:
                raise _unreadable(f"a part {repr(part)[:80]}", expected="text, or a picture")

    def _picture(self, image: ImageInput) -> Picture:
        if not isinstance(image, Image.Image):
            return as_picture(image)
        key = _content_of(image)
        if key is None:
            return as_picture(image)
        if key not in self._met:
            self._met[key] = as_picture(image)
        return self._met[key]


def _content_of(image: Image.Image) -> str | None:
    """What a plain picture in memory shows; None of others, which are to be read each time."""
    try:
        pixels = image.tobytes()
    except OSError:
        return None
    if image.mode not in ("L", "RGB") or image.info.get("transparency") or image.getexif():
        return None
    return f"{image.mode} {image.size} {hashlib.sha256(pixels).hexdigest()}"


def _unreadable(value: str, *, expected: str) -> DataError:
    return DataError(
        "conversation-unreadable",
        value=value,
        place="prompts, completions",
        expected=expected,
        mend="Score such rows by another reward function.",
    )
