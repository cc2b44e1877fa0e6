import subprocess
import sys

import pytest

from vlreward.errors import ConfigError
from vlreward.sources.config import SourceConfig


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"path": " "}, "source-path-empty"),
        ({"path": "hub:"}, "source-path-empty"),
        ({"path": "a.jsonl", "limit": 0}, "source-limit"),
        ({"path": "a.jsonl", "revision": "main"}, "source-hub-only"),
        ({"path": "a.jsonl", "subset": "pairwise"}, "source-hub-only"),
    ],
)
def test_a_contradictory_source_is_refused_when_it_is_made(settings, code):
    with pytest.raises(ConfigError) as caught:
        SourceConfig(**settings)
    assert caught.value.code == code


def test_reading_loads_no_heavy_library_before_it_is_needed():
    program = (
        "import sys, vlreward.sources.read, vlreward.sources.write\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
