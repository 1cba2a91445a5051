"""Pictures: thumbnails and pictures of sounds, drawn when they are first asked for, in a process that may be lost.

What is drawn stays in a folder of this process's own, of a bounded size: what was not asked for the longest goes first.
One process draws (`winnow.explorer.draw`); it is started with the first task, and again after one that it did not
survive. Where PyAV is not installed there are no pictures, and pages show the videos themselves.
"""

from __future__ import annotations

import importlib.util
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np

from winnow.core import confine
from winnow.core.lake import sha256_bytes
from winnow.explorer.draw import ANSWER, TASK, png

#: Most bytes of pictures that are kept.
KEPT_BYTES = 64 << 20
#: Longest that one picture may take, s, and most memory, bytes.
LONGEST_S, MOST_BYTES = 20.0, 1 << 30
#: Largest clip that is drawn, bytes.
LARGEST_CLIP = 256 << 20
THUMBNAIL, WAVE, SPECTRUM = "t", "w", "s"
#: A picture of one pixel that nothing is drawn in.
NOTHING = png(np.zeros((1, 1, 4), np.uint8))


class Pictures:
    """Pictures of clips, whose bytes `read` gives by tar and id (None where they are gone)."""

    def __init__(self, read: Callable[[tuple[str, str]], bytes | None]) -> None:
        self.read = read
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._process: subprocess.Popen[bytes] | None = None
        self._drawing, self._keeping = Lock(), Lock()

    def __del__(self) -> None:
        self.close()

    @cached_property
    def can_draw(self) -> bool:
        """Whether what decodes is installed."""
        return importlib.util.find_spec("av") is not None

    @cached_property
    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="winnow-pictures-")

    def get(self, kind: str, tar: str, sample_id: str, middle_s: float = 0.0) -> bytes | None:
        """A picture: JPEG of THUMBNAIL, PNG of WAVE and SPECTRUM; None for what cannot be drawn."""
        if not self.can_draw:
            return None
        name = f"{kind}-{sha256_bytes(f'{tar}/{sample_id}'.encode())[:32]}"
        found = self._kept(name)
        if found is None:
            with self._drawing:
                found = self._kept(name)
                if found is None:
                    data = self.read((tar, sample_id))
                    small = data is not None and len(data) <= LARGEST_CLIP
                    found = self._draw(kind, data, middle_s) if small and data else b""
                    self._keep(name, found)
        return found or None

    def _kept(self, name: str) -> bytes | None:
        with self._keeping:
            if name not in self._sizes:
                return None
            self._sizes.move_to_end(name)
            with suppress(OSError):
                return Path(self._folder.name, name).read_bytes()
            del self._sizes[name]
            return None

    def _keep(self, name: str, data: bytes) -> None:
        with self._keeping, suppress(OSError):  # a full disk costs the next reader the same work, and nothing else
            Path(self._folder.name, name).write_bytes(data)
            self._sizes[name] = len(data)
            while sum(self._sizes.values()) > KEPT_BYTES:
                oldest, _ = self._sizes.popitem(last=False)
                Path(self._folder.name, oldest).unlink(missing_ok=True)

    def _draw(self, kind: str, data: bytes, middle_s: float) -> bytes:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "winnow.explorer.draw"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(TASK.pack(kind.encode(), middle_s, len(data)) + data)
            self._process.stdin.flush()
            (length,) = ANSWER.unpack(self._answer(ANSWER.size))
            return self._answer(length)
        except (OSError, EOFError, TimeoutError):
            self.close()
            return b""

    def _answer(self, length: int) -> bytes:
        """So many bytes of what it says; TimeoutError when it takes too long or too much, EOFError when it ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        out, file, until = b"", self._process.stdout.fileno(), time.monotonic() + LONGEST_S
        while len(out) < length:
            ready, _, _ = select.select([file], [], [], 0.02)
            if ready:
                piece = os.read(file, length - len(out))
                if not piece:
                    raise EOFError
                out += piece
            elif time.monotonic() > until or confine.used_bytes(self._process.pid) > MOST_BYTES:
                raise TimeoutError
        return out

    def close(self) -> None:
        """End the process that draws; the next picture starts another."""
        process, self._process = getattr(self, "_process", None), None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
