"""Folders of measurements: each label has its own, whatever a file system takes for one name."""

from __future__ import annotations

import pytest

from vlreward.workflows.measurements import file_names


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (
            ["Judge A", "judge a", "judge-a", "other"],
            ["Judge-A", "judge-a-2", "judge-a-3", "other"],
        ),
        (["judge a", "judge-a", "judge-a-2"], ["judge-a", "judge-a-2", "judge-a-2-2"]),
        (["one", "one"], ["one"]),
        (["..", "/"], ["model", "model-2"]),
    ],
)
def test_labels_get_file_names_of_their_own(labels: list[str], names: list[str]) -> None:
    assert file_names(labels) == dict(zip(dict.fromkeys(labels), names, strict=True))


def test_long_labels_fit_into_a_file_name() -> None:
    labels = ["判" * 200, "断" * 200]
    names = file_names(labels).values()
    assert all(0 < len(name.encode()) <= 120 for name in names) and len(set(names)) == 2
