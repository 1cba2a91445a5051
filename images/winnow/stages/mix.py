"""mix: a mixture of mixtures rendered: clip 1's picture, untouched, under the sum of clip 1's and clip 2's sound.

What a mixture is and in which file it lies is told in `winnow.media.mixture_render`; which clips go together is dbt's
choice (`audioscope_mixtures`), and `winnow mix` cuts it into the shards that this stage reads. A shard's mixtures are
one WebDataset tar: `<mixture_id>.mp4`, `.json`, and the two sounds before they were added, `.clip1.flac` and
`.clip2.flac`, which training (MixIT) and scoring (`winnow metrics separation --reference`) need.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import Field

from winnow.core import own_fault
from winnow.core.errors import ContractError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.sample import Outcome, Reason, SampleFailed
from winnow.core.shard_tar import ShardTar
from winnow.core.stage import Batch, Resources, Sample, Stage, StageParams

#: What a row keeps of its mixture.
KEPT = ("list_version", "split", "label", "clip1_sample_id", "clip2_sample_id", "clip2_shift_s")


class Mix(Stage):
    """One row per mixture: its file, the levels of both sounds and of their sum before the guard (dBFS, null for
    digital silence), the gain that the peak guard took, and how much of each sound is padding or was left out."""

    name, image, needs, sidecar, flow = "mix", "media", ("mixtures",), "tar", "mix"
    schema = {
        "list_version": "string",
        "split": "string",
        "label": "string",
        "clip1_sample_id": "string",
        "clip2_sample_id": "string",
        "clip2_shift_s": "double",
        "duration_s": "double",
        "video_packets": "int64",
        "rate_hz": "int64",
        "n_samples": "int64",
        "clip1_rms_dbfs": "double",
        "clip1_peak_dbfs": "double",
        "clip1_padded_s": "double",
        "clip1_left_out_s": "double",
        "clip2_rms_dbfs": "double",
        "clip2_peak_dbfs": "double",
        "clip2_padded_s": "double",
        "clip2_left_out_s": "double",
        "sum_rms_dbfs": "double",
        "sum_peak_dbfs": "double",
        "peak_guarded": "bool",
        "gain_db": "double",
        "clipped_samples": "int64",
        "media_sha256": "string",
        "media_bytes": "int64",
    }
    resources = Resources(cpu=1, memory_mb=1024)

    class Params(StageParams):
        """`rate_hz`: of the mixture's sound, mono; 16 kHz is what AudioScope's models are recalled to use, its
        published lists do not say. `peak_guard`: lower a mixture whose peak would pass full scale, else clip it.
        `parts`: write both sounds beside the mixture."""

        rate_hz: int = Field(16_000, ge=4_000, le=96_000)
        peak_guard: bool = True
        parts: bool = True

    def setup(self) -> None:
        """Import libav; its own messages go nowhere, what matters of them is in the rows."""
        from winnow.media import mixture_render
        from winnow.media.ffmpeg import av

        av.logging.set_level(None)
        self._mixing = mixture_render

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """Mixtures one after the other; a tar is opened once a shard."""
        with ExitStack() as stack:
            clips = _Clips(self.lake, stack)
            for sample in batch:
                kept = {name: sample.row[name] for name in KEPT}
                try:
                    values, files = self._render(sample, clips, batch.work)
                    yield Outcome.ok(sample.id, kept | values, files=files)
                except SampleFailed as failure:
                    yield Outcome.failed(sample.id, failure.reason, failure.detail, values=kept)
                except Exception as error:
                    found = own_fault.internal_error(error)
                    yield Outcome.failed(sample.id, found.reason, found.detail, values=kept)

    def _render(self, sample: Sample, clips: _Clips, work: Path) -> tuple[dict[str, object], dict[str, bytes]]:
        """One mixture: what was measured of it, and its files."""
        params, mixture_render, row = self.params, self._mixing, sample.row
        first, second = (clips.read(row, i) for i in (1, 2))
        with _told(1):
            length_s = mixture_render.picture_s(first)
            one = mixture_render.sound(first, params.rate_hz, length_s)
        with _told(2):
            two = mixture_render.sound(second, params.rate_hz, length_s, float(row["clip2_shift_s"] or 0.0))
        whole = one.wave + two.wave
        signals = [whole, one.wave, two.wave] if params.parts else [whole]
        written = mixture_render.scaled(signals, params.peak_guard)
        data, packets = mixture_render.render(first, written.signals[0], params.rate_hz, work / "mixture.mp4")
        values: dict[str, object] = {
            "duration_s": round(length_s, 6),
            "video_packets": packets,
            "rate_hz": params.rate_hz,
            "n_samples": len(whole),
            "peak_guarded": written.gain_db != 0.0,
            "gain_db": written.gain_db,
            "clipped_samples": written.clipped,
            "media_sha256": sha256_bytes(data),
            "media_bytes": len(data),
        }
        for name, wave in (("clip1", one.wave), ("clip2", two.wave), ("sum", whole)):
            level = mixture_render.Level.of(wave)
            values |= {f"{name}_rms_dbfs": level.rms_dbfs, f"{name}_peak_dbfs": level.peak_dbfs}
        for name, found in (("clip1", one), ("clip2", two)):
            values |= {f"{name}_padded_s": found.padded_s, f"{name}_left_out_s": found.left_out_s}
        record = {"mixture_id": sample.id, "release": row["release"], **{name: row[name] for name in KEPT}, **values}
        files = {"mp4": data, "json": json.dumps(record, sort_keys=True, ensure_ascii=False).encode()}
        for i, samples in enumerate(written.signals[1:], start=1):
            files[f"clip{i}.flac"] = mixture_render.flac(samples, params.rate_hz, work / "part.flac")
        return values, files


class _Clips:
    """Clips' files, each tar opened once."""

    def __init__(self, lake: Lake, stack: ExitStack) -> None:
        self._lake, self._stack = lake, stack
        self._tars: dict[str, ShardTar] = {}

    def read(self, row: Mapping[str, object], number: int) -> bytes:
        """The file of clip 1 or 2 of a row; SampleFailed with `missing_file` where it is not there as it was cut."""
        clip, key = str(row[f"clip{number}_sample_id"]), str(row[f"clip{number}_tar"])
        try:
            if key not in self._tars:
                members = ShardTar(self._stack.enter_context(self._lake.local(key)))
                self._stack.callback(members.close)
                self._tars[key] = members
            data = self._tars[key].read(f"{clip}.mp4")
        except (FileNotFoundError, ContractError) as error:
            raise SampleFailed(Reason.missing_file, f"clip {number} ({clip}) is not in its shard's tar") from error
        if sha256_bytes(data) != row[f"clip{number}_sha256"]:
            raise SampleFailed(Reason.missing_file, f"clip {number} ({clip}) is not the file that was released")
        return data


@contextmanager
def _told(number: int) -> Iterator[None]:
    """A failure inside says which of the two clips it is of."""
    try:
        yield
    except SampleFailed as failure:
        raise SampleFailed(failure.reason, f"clip {number}: {failure.detail}") from failure
