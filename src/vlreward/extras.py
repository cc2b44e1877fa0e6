"""Optional dependencies: imported where they are used, refused in a sentence where missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from vlreward.errors import MissingExtraError


def import_extra(module: str, *, extra: str) -> ModuleType:
    """The module, which vlreward's `extra` installs; raises MissingExtraError without it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "extra-missing",
            value=f"no module named {error.name}",
            place=f"extra {extra}",
            expected=f"the packages of vlreward[{extra}]",
            mend=f"Install them: pip install 'vlreward[{extra}]'",
        ) from error
