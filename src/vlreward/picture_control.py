"""Controls that tell whether pictures are looked at: prompts with others' pictures, or none."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from dataclasses import replace

from vlreward.records import Part, Picture, Prompt


def with_borrowed_pictures(
    prompts: Sequence[Prompt], *, kinds: Sequence[Hashable], seed: int
) -> list[Prompt | None]:
    """Each prompt's words with the pictures of another prompt of its kind, in order.

    The other has as many pictures, and none in common. None stands for a prompt without such
    another, or without pictures.
    """
    alike: dict[Hashable, list[int]] = {}
    for index, (prompt, kind) in enumerate(zip(prompts, kinds, strict=True)):
        if num_pictures := len(prompt.pictures):
            alike.setdefault((kind, num_pictures), []).append(index)
    borrowed: list[Prompt | None] = [None] * len(prompts)
    generator = random.Random(seed)
    for indices in alike.values():
        there = [prompts[index].pictures for index in indices]
        for index, own in zip(indices, map(set, there), strict=True):
            if others := [pictures for pictures in there if own.isdisjoint(pictures)]:
                borrowed[index] = prompts[index].with_pictures(generator.choice(others))
    return borrowed


def without_pictures(prompt: Prompt) -> Prompt:
    """The prompt with `[picture 1]` and so on for its pictures, in reading order."""
    number = 0
    messages = []
    for message in prompt.messages:
        content: list[Part] = []
        for part in message.content:
            if isinstance(part, Picture):
                number += 1
                content.append(f"[picture {number}]")
            else:
                content.append(part)
        messages.append(replace(message, content=tuple(content)))
    return Prompt(messages=tuple(messages))
