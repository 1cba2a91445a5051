"""Which instructions results are computed with: the same on every x86-64 CPU with AVX2, whatever the environment says.

Libraries choose code by the CPU that they meet, and by variables that a shell, a pod or a notebook happens to have;
sums in another order end in other last digits, digits become bytes, and bytes become a model's digest. So one level is
chosen for all of them here, and nowhere else: that of Haswell (x86-64-v3), which every CPU with AVX2 has.

`pin` says so to libraries that read the environment as they load: entry points call it before anything heavy is
imported, and what they start inherits it. `hold_ffmpeg` says so to FFmpeg, which reads no variable. `check` asks the
loaded libraries themselves, and refuses: every committed table, fitted model and selection passes it.

Standard library only. On other architectures (aarch64) nothing is pinned but threads, and no equality is claimed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from pathlib import Path

from winnow.core.errors import ConfigError

#: Sums by several threads end in other digits, and a pod's cores are not a laptop's.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

#: By variable, what libraries are told.
INSTRUCTIONS = {
    "OPENBLAS_CORETYPE": "Haswell",  # of NumPy, of SciPy, of OpenCV: each bundles its own, all obey
    "NPY_ENABLE_CPU_FEATURES": "X86_V3",  # NumPy's loops: nothing above AVX2, FMA
    "NUMBA_CPU_NAME": "haswell",  # not for bytes (no kernel is fast-math): one compiled kernel serves all CPUs
    "NUMBA_CPU_FEATURES": "",  # those of the name; else the CPU's own are added
    "ARROW_USER_SIMD_LEVEL": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # torch's convolutions
    "MKL_CBWR": "AVX2",  # torch's matrix products: equal on CPUs of one vendor, which is all that MKL promises
}

#: Variables that would undo the above, or that a library refuses beside it: taken away.
REMOVED = ("NPY_DISABLE_CPU_FEATURES", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "NUMBA_ENABLE_AVX")

#: FFmpeg's names of what it may use; `slowgather` is of most such CPUs and leaves out loops that gather.
FFMPEG = "mmx+mmxext+sse+sse2+sse3+ssse3+sse4.1+sse4.2+avx+fma3+avx2+bmi1+bmi2+cmov+slowgather"
#: Of FFmpeg's bits, those that choose no arithmetic: AES and carry-less products (ciphers, checksums).
_NO_ARITHMETIC = 0x80000 | 0x400000

#: x264's own names of the same; it looks at the CPU by itself, not through FFmpeg.
X264 = "MMX2,SSE2Fast,LZCNT,SSSE3,SSE4.2,AVX,FMA3,BMI2,AVX2"

#: What the level consists of, in the words of /proc/cpuinfo.
_LEVEL = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"})
#: Where an OpenBLAS is linked to, and how it says which core it computes for.
_BLAS = ("numpy._core._multiarray_umath", "scipy.linalg._fblas", "scipy.linalg.cython_blas")
_CORENAMES = ("scipy_openblas_get_corename64_", "scipy_openblas_get_corename", "openblas_get_corename")
_NEXT = (
    "Start the work with the command `winnow`, or call winnow.core.cpu.pin() before NumPy, SciPy, Numba or torch are "
    "imported (and import av from winnow.media.ffmpeg): libraries choose once, as they load"
)


def pinned(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment with the pins in place of what it said; only the number of threads where this CPU has no such
    level (`check` refuses it) or is no x86-64."""
    out = {**environment, **THREADS}
    if not is_x86() or lacking():
        return out
    return {name: value for name, value in out.items() if name not in REMOVED} | INSTRUCTIONS


def pin(environment: MutableMapping[str, str] = os.environ) -> None:
    """Put the pins into this process's environment, over what it said. Libraries that are loaded already do not
    notice: `check` finds those."""
    wanted = pinned(environment)
    for name in set(environment) - set(wanted):
        del environment[name]
    environment.update(wanted)


def hold_ffmpeg() -> None:
    """Hold the FFmpeg that PyAV has loaded to the level, for the whole process; what was opened before keeps its own.
    Nothing on other architectures, and on a CPU below the level."""
    if is_x86() and not lacking():
        _avutil().av_force_cpu_flags(_ffmpeg_flags())


def x264_options() -> dict[str, str]:
    """What libx264's `x264-params` must hold besides their own: {"asm": …}; {} on other architectures."""
    return {"asm": X264} if is_x86() and not lacking() else {}


def check() -> None:
    """ConfigError, with what is wrong and what to do, when this process's libraries compute with other instructions
    than the pinned ones. Only what is loaded by now is asked: call it when results are there."""
    if not is_x86():
        return
    if missing := sorted(lacking()):
        raise ConfigError(
            f"this CPU lacks {', '.join(missing)}: results would differ in their last digits from those of every CPU "
            "with AVX2, so nothing is published from it. Run this on an x86-64 CPU with AVX2 (or, in a virtual "
            "machine, let it pass the host's CPU on)"
        )
    wrong = [*_libc(), *_numpy(), *_blas(), *_torch(), *_ffmpeg()]
    if wrong:
        raise ConfigError(f"results here would not be those of other machines: {'; '.join(wrong)}. {_NEXT}")


def is_x86() -> bool:
    """Whether this is an x86-64 machine: only there are instructions chosen."""
    return platform.machine() in ("x86_64", "AMD64")


@lru_cache(maxsize=1)
def lacking() -> frozenset[str]:
    """What this CPU lacks of the level; nothing where the system does not say."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), None)
    except OSError:
        flags = None
    return _LEVEL - set(flags) if flags is not None else frozenset()


def _libc() -> list[str]:
    """The C library's exp, log, sin … are chosen as a program starts, before anything here could say otherwise."""
    said = os.environ.get("GLIBC_TUNABLES", "")
    if "hwcaps" not in said:
        return []
    return [f"GLIBC_TUNABLES={said} takes instructions from the C library: start without it"]


def _numpy() -> list[str]:
    module = sys.modules.get("numpy._core._multiarray_umath")
    if module is None:
        return []
    wanted = INSTRUCTIONS["NPY_ENABLE_CPU_FEATURES"]
    found = [name for name in module.__cpu_dispatch__ if module.__cpu_features__.get(name)]
    return [] if found == [wanted] else [f"NumPy uses {', '.join(found) or 'its baseline'}, not {wanted}"]


def _blas() -> list[str]:
    wanted, wrong = f"OpenBLAS for {INSTRUCTIONS['OPENBLAS_CORETYPE']}", {}
    for name in _BLAS:
        module, library = sys.modules.get(name), name.partition(".")[0]
        if module is not None and (found := blas_of(str(module.__file__))) != wanted:
            wrong[library] = f"the linear algebra of {library} is {found}, not {wanted}"
    return list(wrong.values())


@lru_cache
def blas_of(extension: str) -> str:
    """Which OpenBLAS an extension module is linked to, by the core that it computes for."""
    library = ctypes.CDLL(extension)
    for symbol in _CORENAMES:
        if ask := getattr(library, symbol, None):
            ask.restype = ctypes.c_char_p
            return f"OpenBLAS for {ask().decode()}"
    return "no OpenBLAS"


def _torch() -> list[str]:
    module = sys.modules.get("torch.backends.cpu")
    if module is None:
        return []
    found, wanted = module.get_cpu_capability(), INSTRUCTIONS["ATEN_CPU_CAPABILITY"].upper()
    return [] if found == wanted else [f"torch uses {found}, not {wanted}"]


def _ffmpeg() -> list[str]:
    if "av._core" not in sys.modules:
        return []
    found, wanted = _avutil().av_get_cpu_flags() & 0xFFFFFFFF & ~_NO_ARITHMETIC, _ffmpeg_flags()
    return [] if found == wanted else [f"FFmpeg uses {found:#x} of the CPU, not {wanted:#x}"]


@lru_cache(maxsize=1)
def _avutil() -> ctypes.CDLL:
    """libavutil as PyAV has loaded it: a process may hold others (OpenCV's), so it is asked for by who uses it."""
    return ctypes.CDLL(str(sys.modules["av._core"].__file__))


@lru_cache(maxsize=1)
def _ffmpeg_flags() -> int:
    flags = ctypes.c_uint(0)
    if _avutil().av_parse_cpu_caps(ctypes.byref(flags), FFMPEG.encode()) < 0:
        raise ConfigError(f"this FFmpeg does not know all of {FFMPEG}: use the PyAV of constraints.txt")
    return flags.value
