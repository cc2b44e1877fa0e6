"""A prompt with its responses becomes a tree of tokens: one shared prefix, one branch a response.

The prefix is the longest run that all responses' rows have in common, pictures compared by
content. As attention is causal, laying it out once changes no number, and no template needs to
say where its prompt ends.

Shapes: N tokens of a span, A axes of positions (3 for M-RoPE, 1 for plain rotary positions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import numpy.typing as npt

from vlreward.collation.config import Overflow
from vlreward.collation.picture_preparation import Grid, PicturePreparation, PreparesPictures
from vlreward.collation.templates import Element, Template
from vlreward.errors import DataError
from vlreward.records import Picture, Prompt, Response


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Span:
    """A run of tokens: ids [N], positions [A, N], and the pictures whose tokens it holds."""

    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    pictures: tuple[Picture, ...]
    grids: tuple[Grid, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tree:
    """A prompt's shared prefix and one branch for each response, in the order given.

    `truncated_tokens` says of each branch how many tokens were cut off.
    """

    prefix: Span
    branches: tuple[Span, ...]
    truncated_tokens: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prefix) + sum(len(branch) for branch in self.branches)

    @property
    def has_pictures(self) -> bool:
        """Whether its prefix or one of its branches holds any."""
        return any(span.pictures for span in (self.prefix, *self.branches))


class Encoder:
    """Encodes prompts and responses for one checkpoint.

    `preparation` and `image_token_id` are None for text decoders; `num_axes` is 3 for M-RoPE;
    `control_ids` are the ids that only a template makes.
    """

    def __init__(
        self,
        template: Template,
        *,
        preparation: PreparesPictures | None,
        image_token_id: int | None,
        num_axes: int,
        control_ids: frozenset[int],
        max_length: int,
        overflow: Overflow,
    ) -> None:
        self.template = template
        self.preparation = preparation
        self.image_token_id = image_token_id
        self.num_axes = num_axes
        self.control_ids = control_ids
        self.max_length = max_length
        self.overflow = overflow

    def encode(self, prompt: Prompt, responses: Sequence[Response]) -> Tree:
        """The tree of a prompt and its responses.

        Raises DataError if a row does not fit `max_length` and may not or cannot be truncated, or
        holds pictures that the model cannot read; PictureError if a picture cannot be prepared.
        """
        self._refuse_unreadable(prompt, responses)
        opening = self.template.render(prompt, None)
        rows, cuts = [], []
        for response in responses:
            row, cut = self._fit(self.template.render(prompt, response), opening=opening)
            rows.append(row)
            cuts.append(cut)
        return self._tree(rows, cuts)

    def encode_conversations(
        self, conversations: Sequence[tuple[Prompt, Response]]
    ) -> tuple[Tree, tuple[int, ...]]:
        """One tree of conversations that begin alike, and the length of each one's answer.

        A conversation's last so many tokens are its response with what closes it. Raises as
        `encode` does; nothing is truncated.
        """
        rows, lengths = [], []
        for prompt, response in conversations:
            self._refuse_unreadable(prompt, [response])
            row = self.template.render(prompt, response)
            num_opening = _num_common([row, self.template.render(prompt, None)])
            if self._fit(row, opening=row[:num_opening])[1]:
                raise self._too_long(sum(map(self._num_tokens, row)))
            rows.append(row)
            lengths.append(sum(map(self._num_tokens, row[num_opening:])))
        return self._tree(rows, [0] * len(rows)), tuple(lengths)

    def encode_opening(self, prompt: Prompt) -> Span:
        """The prompt up to where an answer would begin; raises DataError as `encode` does."""
        self._refuse_unreadable(prompt, [Response(content=("",))])
        row = self.template.render(prompt, None)
        num_tokens = sum(map(self._num_tokens, row))
        if num_tokens > self.max_length:
            raise self._too_long(num_tokens)
        return self._span(row, start=0)[0]

    def _tree(self, rows: Sequence[list[Element]], cuts: Sequence[int]) -> Tree:
        num_shared = min(_num_common(rows), *(len(row) - 1 for row in rows))
        prefix, next_position = self._span(rows[0][:num_shared], start=0)
        branches = tuple(self._span(row[num_shared:], start=next_position)[0] for row in rows)
        return Tree(prefix=prefix, branches=branches, truncated_tokens=tuple(cuts))

    def _refuse_unreadable(self, prompt: Prompt, responses: Sequence[Response]) -> None:
        if not responses:
            raise DataError(
                "responses-missing",
                value="a prompt without a response",
                place="row",
                expected="one or more responses",
                mend="Drop the row.",
            )
        has_pictures = bool(prompt.pictures) or any(response.pictures for response in responses)
        if has_pictures and self.preparation is None:
            raise DataError(
                "pictures-for-a-text-model",
                value="a row with pictures",
                place="row",
                expected="text alone, since the backbone is a text decoder",
                mend="Use a vision-language backbone or select text-only rows.",
            )

    def _fit(self, row: list[Element], *, opening: list[Element]) -> tuple[list[Element], int]:
        """The row cut to `max_length`, and by how many tokens.

        Words at the response's end go; the closing control tokens stay, and no picture is cut.
        """
        excess = sum(self._num_tokens(element) for element in row) - self.max_length
        if excess <= 0:
            return row, 0
        num_opening = _num_common([row, opening])
        num_closing = self._num_closing(row[num_opening:])
        body = row[num_opening : len(row) - num_closing]
        words = sum(1 for _ in takewhile(self._is_word, body[::-1]))
        if self.overflow == "refuse" or excess >= words:
            raise self._too_long(self.max_length + excess)
        end = len(row) - num_closing
        return row[: end - excess] + row[end:], excess

    def _too_long(self, num_tokens: int) -> DataError:
        return DataError(
            "row-too-long",
            value=f"{num_tokens} tokens",
            place="row",
            expected=f"at most {self.max_length} tokens of prompt and response",
            mend=(
                "Raise max_length, lower max_pixels, or shorten the row; words at the end of "
                "a response can be cut (overflow=truncate), prompts and pictures never are."
            ),
        )

    def _num_closing(self, body: Sequence[Element]) -> int:
        """How many elements close a response: its last control token and what follows it."""
        ends = [index for index, element in enumerate(body) if element in self.control_ids]
        return len(body) - ends[-1] if ends else 0

    def _is_word(self, element: Element) -> bool:
        return isinstance(element, int) and element != self.image_token_id

    def _num_tokens(self, element: Element) -> int:
        if isinstance(element, int):
            return 1
        assert self.preparation is not None
        return self.preparation.num_tokens(element)

    def _span(self, elements: Sequence[Element], *, start: int) -> tuple[Span, int]:
        """The elements as a span whose positions begin at `start`, and the next free position."""
        ids: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        positions: list[npt.NDArray[np.int64]] = [np.empty((self.num_axes, 0), dtype=np.int64)]
        pictures: list[Picture] = []
        grids: list[Grid] = []
        for run in _runs(elements):
            if isinstance(run, Picture):
                grid, coordinates, advance = self._place(run)
                ids.append(np.full(coordinates.shape[1], self.image_token_id, dtype=np.int64))
                positions.append(coordinates + start)
                pictures.append(run)
                grids.append(grid)
            else:
                advance = len(run)
                ids.append(np.asarray(run, dtype=np.int64))
                positions.append(np.tile(np.arange(start, start + advance), (self.num_axes, 1)))
            start += advance
        span = Span(
            ids=np.concatenate(ids),
            positions=np.concatenate(positions, axis=1),
            pictures=tuple(pictures),
            grids=tuple(grids),
        )
        return span, start

    def _place(self, picture: Picture) -> tuple[Grid, npt.NDArray[np.int64], int]:
        """A picture's grid, its tokens' (time, row, column) [3, N], and how far positions move.

        As Qwen2-VL's `get_rope_index`: what follows a picture continues at its longer side. With
        plain rotary positions [1, N], its tokens count as any others.
        """
        assert self.preparation is not None
        grid = self.preparation.grid(picture)
        if self.num_axes == 1:
            num_tokens = self.preparation.num_tokens(picture)
            return grid, np.arange(num_tokens, dtype=np.int64)[None], num_tokens
        assert isinstance(self.preparation, PicturePreparation), "M-RoPE is Qwen's"
        merge = self.preparation.merge_size
        shape = (grid.time, grid.height // merge, grid.width // merge)
        coordinates = np.indices(shape, dtype=np.int64).reshape(3, -1)
        return grid, coordinates, max(shape[1:])


def _runs(elements: Sequence[Element]) -> list[Picture | list[int]]:
    """Neighbouring ids in one list, pictures by themselves."""
    runs: list[Picture | list[int]] = []
    for element in elements:
        if isinstance(element, Picture):
            runs.append(element)
        elif runs and isinstance(runs[-1], list):
            runs[-1].append(element)
        else:
            runs.append([element])
    return runs


def _num_common(rows: Sequence[Sequence[Element]]) -> int:
    """How many first elements all rows share."""
    columns = zip(*rows, strict=False)
    shared = takewhile(lambda column: all(cell == column[0] for cell in column[1:]), columns)
    return sum(1 for _ in shared)
