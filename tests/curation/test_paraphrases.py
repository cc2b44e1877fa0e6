import numpy as np
import pytest

from vlreward.curation.paraphrases import are_paraphrases
from vlreward.curation.wording import exclude_each_other, must_agree, stem
from vlreward.embedding.hashed import HashedEmbedder

MEANINGS = {"biggest": 0, "largest": 0, "photo": 1, "snapshot": 1, "huge": 2, "vast": 2}


def embed_words(words):
    """Vectors by which the words above mean the same as their neighbour, and others nothing."""
    vectors = np.zeros((len(words), 3 + len(words)), dtype=np.float32)
    for row, word in zip(vectors, words, strict=True):
        if word in MEANINGS:
            row[MEANINGS[word]] = 1
    return vectors


def alike(one, other, **settings):
    return are_paraphrases(one, other, embed_words=embed_words, min_similarity=0.9, **settings)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which bar is the longest?", "Please tell me which bar is the longest."),
        ("How many circles are there?", "What is the number of circles?"),
        ("There are 3 dogs.", "There are three dogs."),
        ("It does not overlap.", "It doesn't overlap."),
        ("Describe the pattern.", "Describe the pattren."),
        ("Name the overlapping circles.", "Name the overlaping circles."),
        ("Which bar is the biggest?", "Which bar is the largest?"),
        ("In this chart, which bar is longest?", "Which bar is longest in this chart?"),
        ("**Question:** Which bar?", "Which bar"),
        ("Which picture shows it?", "Which pictrue shows it?"),
        ("Answer without tears.", "Answer witohut tears."),
        ("Is there a square?", "Are there squares?"),
        ("Which boxes are red?", "Which box is red?"),
        ("Which one is missing?", "Which one is mising?"),
    ],
)
def test_paraphrases_say_the_same(one, other):
    assert must_agree(one) == must_agree(other)
    assert alike(one, other) and alike(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which bar is green?", "Which bar is yellow?"),
        ("The square is left of the circle.", "The circle is left of the square."),
        ("A star and a star and a dot.", "A star and a dot and a dot."),
        ("Turn right.", "Turn light."),
        ("Which bar is the longest?", "Which bar is the longest in May?"),
        ("The letter is U.", "The letter is N."),
        ("Is there a plane?", "Is there a planet?"),
        ("Which country is it?", "Which county is it?"),
        ("这张图片里红色的圆一共有几个？", "这张图片里蓝色的圆一共有几个？"),
    ],
)
def test_look_alikes_do_not(one, other):
    assert not alike(one, other) and not alike(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("There are 3 dogs.", "There are 4 dogs."),
        ("There are three dogs.", "There are four dogs."),
        ("They overlap.", "They do not overlap."),
        ("They can overlap.", "They can't overlap."),
        ("It costs 1,000.", "It costs 1.000."),
        ("x = 5", "x = -5"),
        ("Evaluate 6 + 2.", "Evaluate 6 - 2."),
        ("Evaluate 6 * 2.", "Evaluate 6 / 2."),
        ("Is 3 > 2 true?", "Is 3 < 2 true?"),
        ("p → q", "p ∧ q"),
        ("x^2", "x_2"),
        ("What is 5!", "What is 5"),
        ("[1, 2], [3]", "[1], [2, 3]]"),
        ("Sort a list in C++", "Sort a list in C#"),
        ("Sort a list in C", "Sort a list in C#"),
        ("It costs $ 5.", "It costs € 5."),
        ("😀", "😡"),
    ],
)
def test_numbers_negations_and_signs_must_agree(one, other):
    assert must_agree(one) != must_agree(other)


def test_a_minus_is_one_before_a_number_word_too():
    assert must_agree("Evaluate 6 - 2.") == must_agree("Evaluate six - two.")


@pytest.mark.parametrize(
    "other",
    [
        "**Question:** Which bar?",
        "- Which bar",
        "# Which bar?",
        "> Which bar?",
        "*Which bar?*",
        "Which _bar_?",
        "Which `bar`, then - the long bar?",
        "Which bar!",
    ],
)
def test_marks_of_layout_are_no_signs(other):
    assert must_agree("Which bar?") == must_agree(other)


def test_for_words_that_a_pair_is_about_no_others_stand():
    assert alike("The bar is huge.", "The bar is vast.")
    assert not alike("The bar is huge.", "The bar is vast.", fixed={"huge"})


@pytest.mark.parametrize(
    ("one", "other"),
    [("red", "blue"), ("largest", "smallest"), ("monday", "tuesday"), ("legal", "illegal")],
)
def test_opposites_do_not_stand_for_each_other_however_near_they_are(one, other):
    def all_near(words):
        return np.ones((len(words), 1), dtype=np.float32)

    assert exclude_each_other(one, other) and exclude_each_other(other, one)
    texts = (f"Is the bar {one}?", f"Is the bar {other}?")
    assert not are_paraphrases(*texts, embed_words=all_near, min_similarity=0.5)


@pytest.mark.parametrize("other", ["big", "great", "biggest", "large"])
def test_words_on_one_side_do_not_exclude_each_other(other):
    assert not exclude_each_other("large", other)


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("squares", "square", True),
        ("boxes", "box", True),
        ("glasses", "glass", True),
        ("planes", "plan", False),
        ("cities", "city", True),
        ("added", "add", True),
    ],
)
def test_forms_of_a_word_have_one_stem(one, other, are_one):
    assert (stem(one) == stem(other)) is are_one


def test_without_a_model_only_spelling_is_near():
    hashed = HashedEmbedder().embed
    same = are_paraphrases(
        "the largest bar", "the biggest bar", embed_words=hashed, min_similarity=0.5
    )
    assert not same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Is 6 + 2 - 3 odd?", "Is 6 - 2 + 3 odd?"),
        ("Is (2 + 3) * 4 odd?", "Is 2 + (3 * 4) odd?"),
    ],
)
def test_signs_must_stand_in_one_order(one, other):
    assert must_agree(one) != must_agree(other)


def test_very_many_empty_lines_are_read_in_a_line():
    """Read with ever new starts, they would take minutes."""
    assert must_agree("Which bar?" + "\n" * 200_000 + "x") == must_agree("Which bar? x")
