"""The one door to sinabs' chip code, which imports the vendor's device library samna at once.

The samna of the package index is a stub: importing it pip-installs the real one from the vendor's server. So samna is
looked at without being run. If it is the real one (it brings native code) sinabs gets it; if not, sinabs gets an empty
stand-in, which leaves again once sinabs is imported. Only what talks to a board misses anything, and says so.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from neuva import NeuvaError, require

_BACKEND = "sinabs.backend.dynapcnn"
_STOOD_IN_FOR = (
    "samna",
    "samna.speck2e",
    "samna.speck2e.configuration",
    "samna.speck2f",
    "samna.speck2f.configuration",
    "samnagui",
)
_lock = threading.Lock()


def dynapcnn() -> ModuleType:
    """The package `sinabs.backend.dynapcnn`, imported without starting a process or touching the network.

    Raises:
        NeuvaError: if sinabs cannot be imported.
    """
    with _lock:
        if _BACKEND in sys.modules or real_samna():
            return require(_BACKEND, "install sinabs 3.1.3")
        hidden = {name: sys.modules.get(name) for name in _STOOD_IN_FOR}
        sys.modules.update({name: _StandIn(name) for name in _STOOD_IN_FOR})
        try:
            return require(_BACKEND, "install sinabs 3.1.3")
        finally:
            for name, module in hidden.items():
                if module is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = module


def real_samna() -> bool:
    """Whether the samna at hand is the vendor's, found by its native code and never by importing it."""
    if "samna" in sys.modules:
        return True  # somebody has run it already
    spec = importlib.util.find_spec("samna")
    if spec is None:
        return False
    native = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    folders = spec.submodule_search_locations or ()
    files = [path.name for folder in folders for path in Path(folder).iterdir()]
    return any(name.endswith(native) for name in [*files, spec.origin or ""])


class _StandIn(ModuleType):
    """A part of samna that sinabs may name but not use."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _StandIn(f"{self.__name__}.{name}")

    def __call__(self, *_: object, **__: object) -> None:
        raise NeuvaError(
            f"{self.__name__} talks to a Speck board and needs the vendor's samna, which is not installed: "
            "install it as SynSense's documentation says"
        )
