"""Keeps the heap between training steps."""

from __future__ import annotations

import ctypes
import logging

log = logging.getLogger(__name__)
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_heap() -> None:
    """Tell glibc's malloc to keep freed memory instead of handing it back to the kernel.

    A training step over time allocates the same hundreds of megabytes again and again; getting them
    fresh costs a page fault every 4 kB, as long as the arithmetic itself. Other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        log.debug("no mallopt here: memory is allocated the usual way")
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_TOP_PAD, 2**28)
