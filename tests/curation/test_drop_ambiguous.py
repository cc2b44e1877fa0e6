import pytest

from tests.curation.making import pair, reasons, run
from vlreward.curation.drop_ambiguous import DropAmbiguous
from vlreward.errors import ConfigError


def dropped(tmp_path, step=None, **judged):
    rows = [pair(place=name, chosen=f"{name}.", **how) for name, how in judged.items()]
    return reasons(run(rows, tmp_path, step or DropAmbiguous()).entries)


def test_who_was_unsure_goes_and_who_does_not_say_stays(tmp_path):
    found = dropped(
        tmp_path,
        unanimous={"confidence": 1.0},
        majority={"confidence": 2 / 3},
        coin={"confidence": 0.5},
        equal={"margin": 0.0},
        close={"margin": 0.5},
        silent={},
    )
    assert found == {"coin": "low-confidence", "equal": "equal"}


def test_thresholds_are_settable(tmp_path):
    step = DropAmbiguous(min_confidence=0.7, min_margin=1.0)
    found = dropped(
        tmp_path, step, majority={"confidence": 2 / 3}, close={"margin": 0.5}, far={"margin": 2.0}
    )
    assert found == {"majority": "low-confidence", "close": "low-margin"}


def test_a_confidence_beyond_one_is_refused():
    with pytest.raises(ConfigError, match="a share from 0 to 1"):
        DropAmbiguous(min_confidence=60)


def test_a_judge_that_is_asked_about_all_rows_has_to_be_named():
    with pytest.raises(ConfigError, match="judge_all: true, without a judge"):
        DropAmbiguous(judge_all=True)
