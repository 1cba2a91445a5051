"""The files of the kinds: one healthy film, and what people, phones and programs do to films (`kinds.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.world.acoustics import levelled
from tests.world.kinds import Kind
from tests.world.sound import soundtrack
from tests.world.speech import speak
from tests.world.timeline import make_timeline
from tests.world.visual import frames
from winnow.media.ffmpeg import av

FORMATS = {"mkv": "matroska", "ts": "mpegts", "m3u8": "hls"}
GOP, STEP = 50, 1024
#: Steps of the time base of pictures that every container here can hold, a picture.
TICKS = 512
HLS = {"hls_time": "2", "hls_list_size": "0", "hls_playlist_type": "vod"}


@dataclass(frozen=True)
class Film:
    """Pictures (yuv420p arrays, 25 a second unless times are given) and their sound, (channels, samples) at 48 kHz."""

    pictures: list[np.ndarray]
    sound: np.ndarray

    def part(self, first: int, last: int) -> Film:
        """Pictures `first` to `last` and what sounds meanwhile."""
        samples = self.sound[:, first * 1920 : last * 1920]
        return Film(self.pictures[first:last], samples)


@dataclass(frozen=True)
class Form:
    """How a film is written. `prepare` is called with the video stream; `times`: when each picture is shown, s."""

    audio: str = "aac"
    layout: str = "stereo"
    pixels: str = "yuv420p"
    bframes: int = 2
    gop: int = GOP
    x264: str = ""
    prepare: Callable[[object], None] | None = None
    times: Sequence[float] | None = None
    muxer: tuple[tuple[str, str], ...] = ()


def render_kind(kind: Kind, root: Path) -> None:
    """Write the kind's files below `root`, its own one last."""
    path = root / kind.files[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    video, timeline = kind.video, make_timeline(kind.video.visual_class, kind.video.duration_s, kind.video.rng(1))
    film = Film([picture.copy() for picture in frames(video, timeline)], soundtrack(video, timeline))
    if kind.name == "hls":  # its parts are named after it
        write(path, film, Form(muxer=tuple(HLS.items())))
        return
    partial = path.with_name(f".{path.name}.part.{video.container}")
    MAKERS.get(kind.name, _plain)(partial, film, kind)
    partial.replace(path)


def write(path: Path, film: Film, form: Form = Form()) -> Path:
    """Encode a film; the path. One thread and no clock in a header, as in `render.py`."""
    ext = path.name.rsplit(".", 1)[1]
    muxer = {"fflags": "+bitexact", "avoid_negative_ts": "disabled"}
    with av.open(
        str(path), "w", format=FORMATS.get(ext, ext), container_options=muxer, options=dict(form.muxer)
    ) as out:
        options = {"preset": "ultrafast", "g": str(form.gop), "bf": str(form.bframes), "sc_threshold": "0"}
        params = {"x264-params": form.x264} if form.x264 else {}
        stream = out.add_stream("libx264", rate=25, options={**options, **params, "threads": "1"})
        height, width = film.pictures[0].shape[0] * 2 // 3, film.pictures[0].shape[1]
        stream.width, stream.height, stream.pix_fmt = width, height, form.pixels
        base = Fraction(1, 25) if ext == "avi" else Fraction(1, 25 * TICKS)
        stream.codec_context.time_base = base
        if form.prepare:
            form.prepare(stream)
        quick = {"aac_coder": "fast"} if form.audio == "aac" else {}
        audio = out.add_stream(form.audio, rate=48000, layout=form.layout, options=quick)
        times = form.times or [number / 25 for number in range(len(film.pictures))]
        heard = 0
        for picture, time_s in zip(film.pictures, times, strict=True):
            heard = _hear(out, audio, film.sound, heard, round(time_s * 48000), form)
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p").reformat(format=form.pixels)
            frame.pts, frame.time_base = round(time_s / base), base
            out.mux(stream.encode(frame))
        _hear(out, audio, film.sound, heard, film.sound.shape[1] + STEP, form)
        out.mux(audio.encode(None))
        out.mux(stream.encode(None))
    return path


def _hear(out, audio, sound: np.ndarray, heard: int, until: int, form: Form) -> int:
    """Encode the sound up to `until`, in samples, in whole steps; where it stands then."""
    while heard < min(until, sound.shape[1]):
        block = sound[:, heard : heard + STEP]
        if audio.codec_context.name == "flac":
            block = np.round(block * 32767).astype(np.int16).T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="s16", layout=form.layout)
        else:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=form.layout)
        frame.sample_rate, frame.pts, frame.time_base = 48000, heard, Fraction(1, 48000)
        out.mux(audio.encode(frame))
        heard += STEP
    return heard


def rewrite(source: Path, path: Path, edit: Callable[[str, int, object], object]) -> None:
    """The packets of a file in another one, each edited on the way (`edit(type, number, packet)`; False: left out)."""
    ext, muxer = path.name.rsplit(".", 1)[1], {"avoid_negative_ts": "disabled", "fflags": "+bitexact"}
    with av.open(str(source)) as given, av.open(str(path), "w", format=FORMATS.get(ext, ext), options=muxer) as out:
        twins = {stream.index: out.add_stream_from_template(stream) for stream in given.streams}
        packets = [packet for packet in given.demux() if packet.size]
        packets.sort(key=lambda p: (p.dts if p.dts is not None else p.pts) * p.time_base)
        counts = dict.fromkeys(twins, 0)
        for packet in packets:
            index, kind = packet.stream_index, packet.stream.type
            counts[index] += 1
            if edit(kind, counts[index] - 1, packet) is not False:
                packet.stream = twins[index]
                out.mux(packet)
    source.unlink()


def _plain(path: Path, film: Film, kind: Kind) -> None:
    write(path, film, Form(muxer=(("movflags", "+faststart"),)))


def _rewritten(path: Path, film: Film, edit: Callable[[str, int, object], object], **form: object) -> None:
    rewrite(write(path.with_name(f"{path.name}.source.mp4"), film, Form(**form)), path, edit)  # type: ignore[arg-type]


def _clock_restarts(path: Path, film: Film, kind: Kind) -> None:
    half, parts = len(film.pictures) // 2, []
    for at in range(2):
        part = path.with_name(f"{path.name}.{at}.ts")
        parts.append(write(part, film.part(at * half, (at + 1) * half)).read_bytes())
        part.unlink()
    path.write_bytes(b"".join(parts))


def _clock_jumps(path: Path, film: Film, kind: Kind) -> None:
    def edit(kind: str, number: int, packet) -> None:
        if packet.dts * packet.time_base >= 2:
            packet.pts += round(94 / packet.time_base)
            packet.dts += round(94 / packet.time_base)

    _rewritten(path, film, edit)


def _no_picture_times(path: Path, film: Film, kind: Kind) -> None:
    write(path, film, Form(audio="libmp3lame"))


def _equal_times(path: Path, film: Film, kind: Kind) -> None:
    def edit(kind: str, number: int, packet) -> None:
        step = round(Fraction(1, 25) / packet.time_base)
        if kind == "video" and packet.pts // step % 3 == 1:
            packet.pts -= step

    _rewritten(path, film, edit)


def _half_zeros(path: Path, film: Film, kind: Kind) -> None:
    _plain(path, film, kind)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))


def _late_key_picture(path: Path, film: Film, kind: Kind) -> None:
    _rewritten(path, film, lambda kind, number, _: kind == "audio" or number >= 10, gop=25)


def _slides(path: Path, film: Film, kind: Kind) -> None:
    write(path, film, Form(times=[float(number / kind.video.fps) for number in range(len(film.pictures))], bframes=0))


def _full_range(path: Path, film: Film, kind: Kind) -> None:
    write(path, film, Form(pixels="yuvj420p"))


def _hdr(path: Path, film: Film, kind: Kind) -> None:
    def prepare(stream) -> None:
        codec = stream.codec_context
        codec.color_trc, codec.color_primaries, codec.colorspace, codec.color_range = 16, 9, 9, 1

    write(path, film, Form(prepare=prepare))


def _interlaced(path: Path, film: Film, kind: Kind) -> None:
    write(path, film, Form(x264="tff=1"))


def _matrix(a: int, b: int, c: int, d: int) -> Callable[[object], None]:
    """A preparation that gives the stream the display matrix of these signs."""
    return lambda stream: stream.set_display_matrix([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30])


def _turned(path: Path, film: Film, kind: Kind) -> None:
    write(path, film, Form(prepare=_matrix(0, 1, -1, 0)))


def _mirrored(path: Path, film: Film, kind: Kind) -> None:
    write(path, film, Form(prepare=_matrix(-1, 0, 0, 1)))


def _wide_pixels(path: Path, film: Film, kind: Kind) -> None:
    def prepare(stream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)

    write(path, film, Form(prepare=prepare))


def _antiphase(path: Path, film: Film, kind: Kind) -> None:
    write(path, Film(film.pictures, np.stack([film.sound[0], -film.sound[0]])))


def _surround(path: Path, film: Film, kind: Kind) -> None:
    wave = film.sound[0] * np.float32(0.5 / np.abs(film.sound[0]).max())
    write(path, Film(film.pictures, np.tile(wave, (6, 1))), Form(audio="flac", layout="5.1"))


def _commentary(path: Path, film: Film, kind: Kind) -> None:
    """Two tracks of sound; both are marked as the default one, as Matroska marks them unless told otherwise."""
    voice = levelled(speak(kind.video.duration_s, 48000, kind.video.rng(6)), -20.0)
    other = Film(film.pictures, np.tile(voice, (2, 1)))
    sources = [write(path.with_name(f"{path.name}.{at}.mp4"), one) for at, one in enumerate((film, other))]
    order = [1, 0] if kind.name == "commentary_first" else [0, 1]
    flags = int(av.stream.Disposition.default)
    tracks = [(0, "video", flags, None, "")]
    for at in order:
        comment = int(av.stream.Disposition.comment) if at else 0
        tracks.append((at, "audio", flags | comment, ("deu", "eng")[at], "Director's commentary" if at else ""))
    _join(path, sources, tracks)


def _cover_first(path: Path, film: Film, kind: Kind) -> None:
    cover = path.with_name(f"{path.name}.cover.mkv")
    with av.open(str(cover), "w", container_options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 200, np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    sources = [cover, write(path.with_name(f"{path.name}.film.mp4"), film)]
    _join(path, sources, [(0, "video", 0, None, ""), (1, "video", 1, None, ""), (1, "audio", 1, None, "")])


def _join(path: Path, sources: list[Path], tracks: list[tuple[int, str, int, str | None, str]]) -> None:
    """Streams of several files (source, type, disposition, language, title) as one Matroska file."""
    packets = []
    with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as out:
        for at, kind, disposition, language, title in tracks:
            given = av.open(str(sources[at]))
            stream = next(s for s in given.streams if s.type == kind)
            twin = out.add_stream_from_template(stream)
            twin.disposition = disposition
            for key, value in (("language", language), ("title", title)):
                if value:
                    twin.metadata[key] = value
            for packet in given.demux(stream):
                if packet.size:
                    packet.stream = twin
                    packets.append(packet)
        packets.sort(key=lambda p: (p.dts if p.dts is not None else p.pts) * p.time_base)
        for packet in packets:
            out.mux(packet)
    for source in sources:
        source.unlink()


MAKERS: dict[str, Callable[[Path, Film, Kind], None]] = {
    "clock_restarts": _clock_restarts,
    "clock_jumps": _clock_jumps,
    "no_picture_times": _no_picture_times,
    "equal_times": _equal_times,
    "half_zeros": _half_zeros,
    "late_key_picture": _late_key_picture,
    "slides": _slides,
    "full_range": _full_range,
    "hdr": _hdr,
    "interlaced": _interlaced,
    "turned": _turned,
    "mirrored": _mirrored,
    "wide_pixels": _wide_pixels,
    "antiphase": _antiphase,
    "surround": _surround,
    "commentary_first": _commentary,
    "commentary_after": _commentary,
    "cover_first": _cover_first,
}
