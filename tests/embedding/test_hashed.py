import subprocess
import sys

import numpy as np
import pytest

from vlreward.embedding.hashed import HashedEmbedder


def cosine(one, other):
    vectors = HashedEmbedder().embed([one, other])
    return float(vectors[0] @ vectors[1])


@pytest.mark.parametrize(
    ("one", "near", "far"),
    [
        ("which bar is the longest", "which bars are the longest", "sort these words"),
        ("describe the pattern", "describe the pattren", "multiply two numbers"),
        ("in May, which is best", "which is best in May", "who painted this"),
    ],
)
def test_shared_words_and_spellings_are_near(one, near, far):
    assert cosine(one, near) > cosine(one, far) + 0.3


def test_vectors_have_unit_length_and_nothing_is_zero():
    vectors = HashedEmbedder(num_dimensions=64).embed(["a bar", "", "?!", "ein Wörtchen"])
    assert vectors.shape == (4, 64) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0, 1])
    assert HashedEmbedder().embed([]).shape == (0, 128)


def test_another_process_with_another_hash_seed_gives_the_same_vectors():
    code = (
        "from vlreward.embedding.hashed import HashedEmbedder as H;"
        "print(H().embed(['Which bar is é \\ud800?']).tobytes().hex())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
