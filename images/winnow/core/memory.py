"""Memory: what a sample's work frees, the process keeps for the next sample.

The GNU C library gives freed memory back to the kernel, and a block above a threshold at once; the next sample's arrays
then come page by page, each page a fault that fills it with zeros. Measuring the sound of a clip of 10 s met 2,500 of
them, a quarter of its time. Both thresholds are put where the library puts them by itself once a block of 32 MB has
been freed (mallopt(3), M_MMAP_THRESHOLD).
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 32 * 2**20


def keep_freed() -> bool:
    """Keep freed blocks of up to 32 MB, and up to 64 MB at the heap's end; False where the C library has no such
    setting."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(*setting) == 1 for setting in ((_MMAP_THRESHOLD, KEPT_BYTES), (_TRIM_THRESHOLD, 2 * KEPT_BYTES))
    )
