"""From answers to tasks: what makes one, and that a task does not tell who wrote what."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.curation.making import pair
from vlreward.curation.reasoning_tasks import Question, make_tasks
from vlreward.curation.rows import answer_key
from vlreward.records import Response

answers = st.text("ab ", min_size=1, max_size=3).filter(str.strip)


@given(st.lists(st.tuples(answers, answers), min_size=1, max_size=8), st.integers(0, 9))
def test_which_answer_stands_first_says_nothing_of_how_it_was_made(texts, seed):
    questions = [Question(pair=pair(f"{number}?")) for number in range(len(texts))]

    def tasks(first, second):
        made = {
            kind: [Response(content=(both[side],)) for both in texts]
            for side, kind in enumerate((first, second))
        }
        return make_tasks(questions, answers=made, comparisons=[("direct", "two-step")], seed=seed)

    found, turned = tasks("direct", "two-step"), tasks("two-step", "direct")
    assert [one.id for one in found.tasks] == [one.id for one in turned.tasks]
    assert len(found.tasks) + found.without.total() == len(texts)
    differ = [one.split() != other.split() for one, other in texts]
    assert len(found.tasks) == sum(differ)


def test_neither_kind_stands_first_more_often():
    questions = [Question(pair=pair(f"{number}?")) for number in range(400)]
    made = {
        kind: [Response(content=(f"{kind} {number}",)) for number in range(400)]
        for kind in ("direct", "two-step")
    }
    found = make_tasks(questions, answers=made, comparisons=[("direct", "two-step")], seed=0)
    first = Counter(task.made[0].kind for task in found.tasks)
    assert 160 < first["direct"] < 240


def test_what_rows_compare_already_is_no_task():
    judged = pair("How many?", "Three.", "Five.")
    both = frozenset((answer_key(judged.chosen), answer_key(judged.rejected)))
    made = {"direct": [Response(content=("Five. ",))], "two-step": [judged.chosen]}
    found = make_tasks(
        [Question(pair=judged, compared=[both])],
        answers=made,
        comparisons=[("direct", "two-step")],
        seed=0,
    )
    assert (found.tasks, found.without) == ([], {"already made": 1})
