"""Lets torchvision and torchaudio be imported beside a CPU build of torch.

The packages that pip finds for them are compiled for CUDA, so on a CPU build their compiled parts
cannot load and the import fails. The peers import them but call none of the compiled operators on
our path, so each script here calls `install` before it imports a peer: it declares torchvision's
operators without an implementation and puts empty modules in torchaudio's place.

It does nothing where torch is a build with CUDA. A script that knows nothing of it runs under it by

    python torchvision_stub.py script.py arguments...
"""

import importlib.machinery
import runpy
import sys
import types
from typing import NamedTuple

import torch

_TORCHVISION_OPERATORS = (
    "nms",
    "qnms",
    "qroi_align",
    *(
        f"{prefix}{name}{suffix}"
        for name in ("roi_align", "ps_roi_align", "roi_pool", "ps_roi_pool", "deform_conv2d")
        for prefix, suffix in (("", ""), ("_", "_backward"))
    ),
)
_TORCHAUDIO_MODULES = ("torchaudio", "torchaudio.transforms", "torchaudio.functional")


class Stub(NamedTuple):
    """What `install` put in place; it must stay referenced, or torch drops the operators."""

    library: torch.library.Library | None
    modules: tuple[str, ...]


_installed: list[Stub] = []


def install() -> None:
    """Declare the operators and register the stand-ins, once a process."""
    if _installed:
        return
    if torch.version.cuda is not None:
        _installed.append(Stub(library=None, modules=()))
        return
    library = torch.library.Library("torchvision", "DEF")
    for operator in _TORCHVISION_OPERATORS:
        library.define(f"{operator}(Tensor x) -> Tensor")
    for name in _TORCHAUDIO_MODULES:
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, loader=None)
        module.__dict__["__version__"] = "0"
        sys.modules[name] = module
    _installed.append(Stub(library=library, modules=_TORCHAUDIO_MODULES))


if __name__ == "__main__":
    install()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
