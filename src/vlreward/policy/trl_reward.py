"""A reward function for TRL's online trainers (GRPO, RLOO) that sees the pictures.

reward = TrlReward(RewardModel.load("runs/mine/model"))
GRPOTrainer(model=…, reward_funcs=reward, train_dataset=…)

TRL hands a reward model that is a module the chat template's text and no pictures; a function gets
the conversations themselves, pictures in their places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast, get_args

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
        or `image`. The share that could not be scored is logged as `<name>/not_scored`. Raises
        ConfigError where what was given is no conversation at all.
        """
        columns = _pictures_of_rows(images, image, num_rows=len(prompts))
        groups: dict[Prompt, list[tuple[int, Response]]] = {}
        rows = zip(prompts, completions, columns, strict=True)
        for index, (prompt, completion, pictures) in enumerate(rows):
            try:
                record, response = _as_records(prompt, completion, pictures)
            except DataError:
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


def _as_records(
    prompt: str | Conversation, completion: str | Conversation, pictures: Sequence[ImageInput]
) -> tuple[Prompt, Response]:
    """Raises DataError where they cannot be read."""
    turns = [_as_message("user", prompt)] if isinstance(prompt, str) else _as_messages(prompt)
    if isinstance(completion, str):
        answer = _as_message("assistant", completion)
    else:
        *earlier, answer = _as_messages(completion)
        turns += earlier
    if pictures and not any(isinstance(part, Picture) for turn in turns for part in turn.content):
        first = next(index for index, turn in enumerate(turns) if turn.role == "user")
        shown = (*map(as_picture, pictures), *turns[first].content)
        turns[first] = replace(turns[first], content=shown)
    return Prompt(messages=tuple(turns)), Response(content=answer.content)


def _as_messages(conversation: Conversation) -> list[Message]:
    return [_as_message(turn["role"], turn["content"]) for turn in conversation]


def _as_message(role: str, content: str | Sequence[Mapping[str, Any]]) -> Message:
    """A turn; a part that is neither text nor a picture, or another role, is refused."""
    if role not in get_args(Role):
        raise _unreadable(f"a turn of {role!r}", expected=", ".join(get_args(Role)))
    if isinstance(content, str):
        return Message(role=cast(Role, role), content=(content,))
    parts: list[Part] = []
    for part in content:
        if part.get("type") == "image" and part.get("image") is not None:
            parts.append(as_picture(part["image"]))
        elif part.get("type") == "text":
            parts.append(part["text"])
        else:
            raise _unreadable(f"a part of type {part.get('type')!r}", expected="text, or a picture")
    return Message(role=cast(Role, role), content=tuple(parts))


def _unreadable(value: str, *, expected: str) -> DataError:
    return DataError(
        "conversation-unreadable",
        value=value,
        place="prompts, completions",
        expected=expected,
        mend="Score such rows by another reward function.",
    )
