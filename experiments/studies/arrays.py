"""Arrays on disk that jobs fill part by part."""

from __future__ import annotations

import errno
import math
import os
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt


def new_array(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    """An .npy file to be filled, its space taken at once: a full disk is an error here, not a crash as it is filled.

    Raises:
        OSError: if the disk has no room for it.
    """
    if math.prod(shape) * np.dtype(dtype).itemsize > shutil.disk_usage(path.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    array: np.memmap = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # of a file system that cannot
                    raise
    return array
