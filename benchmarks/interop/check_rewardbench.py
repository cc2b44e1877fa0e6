"""Holds our RewardBench arithmetic against the rewardbench package's, row by row and exactly.

    python check_rewardbench.py --peers peers [--cases 500] [--fixture FILE]

Makes outcomes with ties for the layout of all 2,985 rows and for parts of it, has both compute the
four sections, and ends with exit code 1 if one float differs. Needs the environment `rb` of the
README; run it with the interpreter that has vlreward. `--fixture` writes four of the cases for the
tests.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vlreward.evaluation.accuracy import measure
from vlreward.evaluation.benchmarks.rewardbench import SECTIONS, arithmetic
from vlreward.evaluation.outcomes import Outcome

PEER = Path(__file__).resolve().parent / "rewardbench_sections.py"
MATH_ROWS = 447


def make_outcomes(generator: random.Random) -> list[Outcome]:
    """Scores of a scorer of random quality, rounded so that some tie; now and then parts alone."""
    quality, keep = generator.uniform(-1, 3), generator.choice([1.0, 1.0, 0.5, 0.05])
    outcomes = []
    for section, subsets in SECTIONS.items():
        for subset, weight in subsets.items():
            if generator.random() > keep:
                continue
            for row in range(MATH_ROWS if subset == "math-prm" else weight):
                scores = (round(generator.gauss(quality, 1), 1), round(generator.gauss(0, 1), 1))
                outcomes.append(
                    Outcome(
                        id=f"{subset}/{row}",
                        fingerprint="",
                        cluster=f"{subset}/{row}",
                        group=section,
                        subset=subset,
                        right=(0,),
                        num_characters=(1, 1),
                        scores=scores,
                    )
                )
    return outcomes


def count_right(outcomes: Sequence[Outcome]) -> dict[str, list[int]]:
    """Right rows and all rows of each subset, as run_rm.py counts them: chosen > rejected."""
    number = Counter(one.subset for one in outcomes)
    right = Counter(one.subset for one in outcomes if one.scores[0] > one.scores[1])
    return {subset: [right[subset], number[subset]] for subset in number}


def ask_package(python: Path, cases: Sequence[Mapping[str, list[int]]]) -> dict[str, Any]:
    """Return what the package's own function makes of the counts."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "counts.json", Path(folder) / "sections.json"
        asked.write_text(json.dumps(cases))
        subprocess.run([str(python), str(PEER), str(asked), str(answered)], check=True)
        document: dict[str, Any] = json.loads(answered.read_text())
        return document


def main() -> None:
    """Print how many cases agree; exit code 1 if one does not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peers", type=Path, default=Path("peers"))
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--fixture", type=Path)
    arguments = parser.parse_args()
    generator = random.Random(0)
    made = [make_outcomes(generator) for _ in range(arguments.cases)]
    theirs = ask_package(
        arguments.peers.resolve() / "rb" / "bin" / "python", [count_right(one) for one in made]
    )
    num_sections = num_equal = num_ties = 0
    for outcomes, case in zip(made, theirs["cases"], strict=True):
        ours = measure(outcomes, arithmetic=arithmetic()).figures
        num_ties += sum(one.is_tie for one in outcomes)
        for name, value in case["sections"].items():
            num_sections += 1
            num_equal += (ours[name] or 0) == value
    print(
        f"rewardbench {theirs['rewardbench']}: {num_equal} of {num_sections} sections of "
        f"{len(made)} cases are equal to the last bit; {sum(map(len, made))} rows, {num_ties} ties"
    )
    if arguments.fixture is not None:
        whole = [case for case in theirs["cases"] if len(case["counts"]) == 23][:3]
        part = next(c for c in theirs["cases"] if c["sections"]["Chat"] == 0 and c["counts"])
        theirs["cases"] = [*whole, part]
        arguments.fixture.write_text(json.dumps(theirs, indent=1) + "\n")
    sys.exit(num_equal != num_sections)


if __name__ == "__main__":
    main()
