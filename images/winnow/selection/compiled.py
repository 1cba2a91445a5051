"""Numba's compiler with its on-disk cache, where there is a disk to write to.

`numba.njit(cache=True)` raises at import when neither `NUMBA_CACHE_DIR`, the module's own `__pycache__` nor the user's
cache folder can be written, which is so in a pod with a read-only root. Then the function is compiled in memory, once
per process (seconds), and gives the same results.

No kernel is parallel and none uses fast-math: results depend neither on threads nor on the order of instructions.
A cached kernel does not notice an edit of a kernel in *another* file that it calls: kernels call their own file only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled on its first call; cached on disk where a cache folder can be written."""
    try:
        return numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    except (RuntimeError, OSError):  # no writable cache folder
        return numba.njit(error_model="numpy", nogil=True)(function)


@intrinsic
def prefetch(typing, array, index):
    """Ask for the cache line of `array[index]` of a C-contiguous array of one or two dimensions; reads nothing."""

    def generate(context, builder, signature, arguments):
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        offset = arguments[1]
        if kind.ndim == 2:
            offset = builder.mul(offset, builder.extract_value(view.shape, 1))
        where = builder.bitcast(builder.gep(view.data, [offset]), ir.IntType(8).as_pointer())
        whole = ir.IntType(32)
        call = ir.FunctionType(ir.VoidType(), [where.type, whole, whole, whole])
        function = builder.module.declare_intrinsic("llvm.prefetch", [where.type], call)
        builder.call(function, [where, whole(0), whole(3), whole(1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate
