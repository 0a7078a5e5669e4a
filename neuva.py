"""What every folder of neuva shares: the error, guarded imports and safe file writing.

The six folders form a one-way road (see README); this module is the ground under it and
imports nothing of theirs.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

__version__ = "0.1.0"


class NeuvaError(Exception):
    """A user's problem: what is wrong, where, measured against allowed, and the cure.

    The command line prints the message in one line and exits with 2.
    """


class SettingError(NeuvaError, ValueError):
    """A setting outside its range; a configuration's checker, which takes ValueErrors, tells where in the file."""


def require(module: str, cure: str) -> ModuleType:
    """Import a guest (a vendor's or optional library) at the moment it is needed.

    Args:
        module: dotted module name.
        cure: what to install or do, appended to the error.

    Raises:
        NeuvaError: if the module cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NeuvaError(f"{module} is needed here but cannot be imported ({error}): {cure}") from error


def unwritable(path: Path, error: OSError) -> NeuvaError:
    """The error to raise where the system does not let `path` be written."""
    cure = "free space, or choose another place" if error.errno == errno.ENOSPC else "choose another place"
    return NeuvaError(f"{path}: cannot be written ({error.strerror or error}): {cure}")


def make_folder(path: Path) -> None:
    """Make a folder and those it lies in, if they are not there.

    Raises:
        NeuvaError: if it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NeuvaError(f"{path}: no folder can be made there ({error.strerror}): choose another place") from error


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place only if the block succeeds.

    A killed or failed run leaves what stood at `path` untouched.

    Raises:
        NeuvaError: if the folder cannot be made or written.
    """
    final = Path(path)
    if final.is_dir():
        raise NeuvaError(f"{final}: is a folder: name a file in it")
    make_folder(final.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{final.name}.", suffix=final.suffix or ".tmp", dir=final.parent)
    except OSError as error:
        raise unwritable(final, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes the file private; give it the usual rights
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
