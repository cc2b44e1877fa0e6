"""How fast the miniature world is made: pictures, their truth and their pairs, on one core.

python benchmarks/world.py [--pictures 10000]
"""

from __future__ import annotations

import argparse
import time

from vlreward.world.preferences import make_pairs


def main() -> None:
    """Draws the pictures and says how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    given = parser.parse_args()
    started = time.perf_counter()
    pairs = make_pairs(num_pictures=given.pictures, seed=0, split="train")
    num_pairs = sum(1 for _ in pairs)
    seconds = time.perf_counter() - started
    print(f"{given.pictures} pictures and {num_pairs} pairs in {seconds:.1f} s")


if __name__ == "__main__":
    main()
