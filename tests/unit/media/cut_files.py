"""Files cut as the stage cuts them, and what must hold of the clips of any healthy one."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.unit.media.numbered import Recipe, Seen, look
from winnow.core.lake import Lake
from winnow.core.sample import Outcome, candidate_id, sid
from winnow.core.settings import Settings
from winnow.core.stage import Batch, Sample, parse_params
from winnow.stages.clip import Clip

PLAIN = Recipe()
HALF_S = 0.02


def clips(path: Path, **params: object) -> list[Outcome]:
    """What stage clip makes of a video, in the order of time; failures come last."""
    lake = Lake(path.parent / "lake")
    stage = Clip(
        parse_params(Clip, {"preset": "ultrafast", "window_s": 2.0, "tail_s": 0.5, **params}), lake, Settings()
    )
    stage.setup()
    sha256 = lake.put_media(path, path.suffix[1:])
    video = sid("video", sha256)
    row = {
        "video_id": video,
        "url": "http://a.test/v",
        "start_s": None,
        "end_s": None,
        "media_sha256": sha256,
        "media_ext": path.suffix[1:],
    }
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    found = list(stage.process(Batch([Sample(candidate_id(video, None, None), row)], work)))
    assert list(work.iterdir()) == []
    return sorted(found, key=lambda o: (o.reason is not None, o.values.get("start_s") or 0.0))


def right(found: list[Outcome], count: int, first: int = 0, late_s: float = 0.0) -> list[Seen]:
    """All pictures from `first` on are there, in order, once, and sound and picture stand together."""
    assert [o.detail for o in found if o.reason] == []
    seen = [look(o.files["mp4"]) for o in found]
    numbers = [n for one in seen for n in one.numbers]
    assert numbers == list(range(first, first + count))
    for outcome, one in zip(found, seen, strict=True):
        values = outcome.values
        assert one.lasts_s == pytest.approx(values["duration_s"], abs=0.002)
        assert values["duration_s"] == pytest.approx(values["end_s"] - values["start_s"], abs=2 * HALF_S)
        assert one.picture_s == pytest.approx(late_s - values["start_s"], abs=HALF_S + 0.001)
        if one.sound_s is not None:
            assert one.sound_s == pytest.approx(one.picture_s, abs=HALF_S)
    return seen


def merged(tmp_path: Path, tracks: list[tuple[Path, str, int, str]], name: str) -> Path:
    """Streams of several files (path, kind, disposition, title) in one file."""
    path = tmp_path / name
    with av.open(str(path), "w") as out:
        packets = []
        for source, kind, disposition, title in tracks:
            given = av.open(str(source))
            stream = next(s for s in given.streams if s.type == kind)
            twin = out.add_stream_from_template(stream)
            twin.disposition = disposition
            if title:
                twin.metadata["title"] = title
            for packet in given.demux(stream):
                if packet.size:
                    packet.stream = twin
                    packets.append(packet)
        packets.sort(key=lambda p: (p.dts if p.dts is not None else p.pts) * p.time_base)
        for packet in packets:
            out.mux(packet)
    return path
