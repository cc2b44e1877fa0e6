"""vlreward: build, judge and use reward models for vision-language models.

The few public names load on first use, so that `import vlreward` stays free of torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlreward.records import Message, Picture, PreferencePair, Prompt, Response, Score
    from vlreward.scoring import RewardModel
    from vlreward.training.run import train

__version__ = "0.1.0"

_HOMES = {
    "Message": "vlreward.records",
    "Picture": "vlreward.records",
    "PreferencePair": "vlreward.records",
    "Prompt": "vlreward.records",
    "Response": "vlreward.records",
    "RewardModel": "vlreward.scoring",
    "Score": "vlreward.records",
    "train": "vlreward.training.run",
}

__all__ = [
    "Message",
    "Picture",
    "PreferencePair",
    "Prompt",
    "Response",
    "RewardModel",
    "Score",
    "__version__",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vlreward' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
