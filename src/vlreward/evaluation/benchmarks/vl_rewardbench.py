"""VL-RewardBench: pairs about pictures in three groups that the row's id tells.

https://huggingface.co/datasets/MMInstruction/VL-RewardBench, split test. Other people's tools
count 301 or 448 of its hallucination rows as general, as they look for other prefixes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from vlreward.errors import DataError
from vlreward.evaluation.accuracy import Arithmetic
from vlreward.evaluation.benchmarks.definition import Benchmark, rows_in_one_place
from vlreward.evaluation.counts import Expected
from vlreward.evaluation.grading import (
    Protocol,
    by_first_vote,
    coin,
    first_of_shuffled,
    votes_drawn,
)
from vlreward.evaluation.marks import Array, Sums
from vlreward.evaluation.reading import RowDraft
from vlreward.sources import fields
from vlreward.sources.attachments import images_of
from vlreward.sources.config import SourceConfig
from vlreward.sources.content import Draft, DraftMessage, num_holes, split_markers
from vlreward.sources.fields import Row

GROUPS = ("general", "hallucination", "reasoning")
_GROUP_OF_PREFIX: Mapping[str, str] = {
    "RLAIF": "hallucination",
    "RLHF": "hallucination",
    "hallucination": "hallucination",
    "mathverse": "reasoning",
    "mmmu": "reasoning",
}
# As published with the paper; the hub's card has also told of a copy with 1,247 rows.
EXPECTED = Expected(
    totals=(1250,),
    groups={"general": 183, "hallucination": 749, "reasoning": 318},
    subsets={
        "RLAIF": 233,
        "RLHF": 68,
        "hallucination": 448,
        "mathverse": 167,
        "mmmu": 151,
        "wildvision": 173,
    },
)


def prefix_of(row_id: str) -> str:
    """A row's source: its id up to the first `_` or `-`, in its own case."""
    return re.split("[_-]", row_id, maxsplit=1)[0]


def group_of(row_id: str) -> str:
    """A row's group, told by its id; what is of no known source is general."""
    return _GROUP_OF_PREFIX.get(prefix_of(row_id), "general")


def read_row(row: Row) -> RowDraft:
    """Reads a row; a ranking of [0, 1] says that the first response is better, [1, 0] the second.

    A row without a picture is refused. A picture marker in the query holds only where there is one
    for each picture; in a response it is text.
    """
    row_id = fields.text(fields.required(row, "id"), field="id")
    query = fields.text(fields.required(row, "query"), field="query")
    responses = fields.items(fields.required(row, "response"), field="response")
    if len(responses) != 2:
        raise fields.wrong_type(responses, field="response", expected="two responses")
    fields.required(row, "image")
    images = images_of(row)
    marked = split_markers(query)
    content = marked if num_holes([marked]) == len(images) else (query,)
    return RowDraft(
        draft=Draft(
            prompt=(DraftMessage(role="user", content=content),),
            answers=tuple(
                (fields.text(value, field=f"response[{index}]"),)
                for index, value in enumerate(responses)
            ),
            images=images,
        ),
        right=(_better(row),),
        group=group_of(row_id),
        subset=prefix_of(row_id),
        row_id=row_id,
        models=_models(row),
    )


def figures(sums: Sums) -> dict[str, Array]:
    """The groups' accuracies, that over all rows, and the mean of the three groups."""
    groups = {name: sums.share(group=name) for name in GROUPS}
    macro = (groups["general"] + groups["hallucination"] + groups["reasoning"]) / 3
    return {**groups, "overall": sums.share(), "macro": np.asarray(macro)}


def official(num_votes: int | None = None) -> Protocol:
    """The authors' own count over K votes a row; see `first_of_shuffled`."""
    return Protocol(
        name="official",
        about="the majority of K votes drawn at random; a row with a vote that cannot be read, or "
        "without a majority, leaves the denominator (the authors' cal.py)",
        grade=lambda outcomes: first_of_shuffled(outcomes, num_votes=num_votes),
        label=lambda outcomes: f"official, K = {votes_drawn(outcomes, num_votes=num_votes)}",
    )


VLMEVALKIT = Protocol(
    name="vlmevalkit",
    about="one vote; a reply that cannot be read is wrong (VLMEvalKit's vl_rewardbench.py)",
    grade=lambda outcomes: by_first_vote(outcomes, undecided=lambda _: 0.0),
    order="length-parity",
)
LMMS_EVAL = Protocol(
    name="lmms-eval",
    about="one vote; for a reply that cannot be read a coin is thrown, here the same at every "
    "count; reports the mean of the groups alone (lmms-eval's vl_rewardbench/utils.py)",
    grade=lambda outcomes: by_first_vote(outcomes, undecided=coin),
    figures=(*GROUPS, "macro"),
    order="length-parity",
)


def arithmetic(*, num_votes: int | None = None) -> Arithmetic:
    """The figures and protocols; `num_votes` is K of the official one."""
    return Arithmetic(
        formula=figures,
        main="overall",
        protocols=(official(num_votes), VLMEVALKIT, LMMS_EVAL),
    )


VL_REWARDBENCH = Benchmark(
    name="vl-rewardbench",
    title="VL-RewardBench",
    load=rows_in_one_place(
        read_row,
        title="VL-RewardBench",
        home=SourceConfig(path="hub:MMInstruction/VL-RewardBench", split="test"),
        expected=EXPECTED,
    ),
    arithmetic=lambda _: arithmetic(),
)


def swaps_by_length(lengths: tuple[int, ...]) -> bool:
    """Whether VLMEvalKit and lmms-eval show the second response first.

    They do where the responses' lengths in characters make an odd sum.
    """
    return sum(lengths) % 2 == 1


def _better(row: Row) -> int:
    ranking = fields.items(fields.required(row, "human_ranking"), field="human_ranking")
    if ranking not in ([0, 1], [1, 0]):
        raise DataError(
            "ranking-unknown",
            value=ranking,
            place="human_ranking",
            expected="[0, 1] where the first response is better, [1, 0] where the second is",
            mend="Leave out rows without a decided ranking.",
        )
    return ranking.index(0)


def _models(row: Row) -> tuple[str | None, ...]:
    models = row.get("models")
    if not isinstance(models, (list, tuple)) or len(models) != 2:
        return ()
    return tuple(one if isinstance(one, str) else None for one in models)
