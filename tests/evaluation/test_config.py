import pytest

from vlreward.errors import ConfigError
from vlreward.evaluation.config import BenchmarkConfig
from vlreward.sources.config import SourceConfig

FILE = SourceConfig(path="rows.jsonl")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"limit": 0}, "limit"),
        ({"name": "pairs"}, "source"),
        ({"name": "candidates"}, "source"),
        ({"prior_sets": FILE}, "prior_sets"),
        ({"source": SourceConfig(path="x", limit=3)}, "source.limit"),
        (
            {"name": "rewardbench", "prior_sets": SourceConfig(path="x", limit=3)},
            "prior_sets.limit",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields, place):
    with pytest.raises(ConfigError) as caught:
        BenchmarkConfig(**fields)
    assert caught.value.place == place


def test_published_benchmarks_need_no_source():
    assert BenchmarkConfig(name="rewardbench").source is None
