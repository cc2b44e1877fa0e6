"""Has the rewardbench package compute section scores from counts of right rows.

    peers/rb/bin/python rewardbench_sections.py counts.json sections.json

Reads [{subset: [right, all]}], and writes, for each, what the package's own function makes of it,
with the package's weights and version. Runs in the package's environment and imports nothing of
this project.
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path

from rewardbench.constants import EXAMPLE_COUNTS, SUBSET_MAPPING
from rewardbench.utils import calculate_scores_per_section


def main() -> None:
    """Read counts, write sections."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("counts", type=Path)
    parser.add_argument("sections", type=Path)
    arguments = parser.parse_args()
    cases = []
    for counts in json.loads(arguments.counts.read_text()):
        shares = {subset: right / total for subset, (right, total) in counts.items()}
        sections = calculate_scores_per_section(EXAMPLE_COUNTS, SUBSET_MAPPING, shares)
        cases.append({"counts": counts, "sections": sections})
    document = {"rewardbench": version("rewardbench"), "weights": EXAMPLE_COUNTS, "cases": cases}
    arguments.sections.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
