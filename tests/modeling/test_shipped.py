"""The names of the models that come with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny
from vlreward.errors import ConfigError
from vlreward.modeling import folders


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that is shipped as `miniature`; the current folder is another one."""
    folder = tmp_path / "package" / "miniature"
    tiny.write_base_model(folder, "qwen2_5_vl", tied=True)
    monkeypatch.setattr(folders, "SHIPPED", {"miniature": folder})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def test_a_shipped_models_name_stands_for_its_folder(shipped: Path) -> None:
    assert folders.find_model_folder("miniature") == shipped


def test_a_folder_of_that_name_comes_first(shipped: Path) -> None:
    tiny.write_base_model(Path("miniature"), "qwen2_5_vl", tied=True)
    assert folders.find_model_folder("miniature") == Path("miniature")


def test_a_shipped_model_has_no_revisions(shipped: Path) -> None:
    with pytest.raises(ConfigError, match="lies on this machine"):
        folders.find_model_folder("miniature", revision="main")
