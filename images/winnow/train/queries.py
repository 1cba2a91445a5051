"""Queries: sounds of clips in pairs, each with the vector that asks for it (task `query-separate`).

A clip is mixed with one of its split that is of another source video and label. In training partner, crop and gain
follow from seed, epoch and the clip's id; when it is tried, partner and crop from the id alone, so that runs compare.
Sources (a crop; a short sound is repeated) are halved before they are added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.core.errors import ContractError
from winnow.core.lake import Lake, digest
from winnow.core.sample import Reason, SampleFailed
from winnow.exports.read_avel import SPLITS
from winnow.media import mixture_render
from winnow.train import sets, sounds
from winnow.train.clip_store import decoded
from winnow.train.config import TrainConfig
from winnow.train.loader import Vectors, own
from winnow.train.prepare import Prepared
from winnow.train.shards import ClipFiles
from winnow.train.sizes import Sizes
from winnow.train.sounds import SoundExamples
from winnow.train.stage_vectors import of_stages
from winnow.train.vectors import Joined, of_file

LOW, HIGH = 0.5, 1.5


@dataclass(frozen=True)
class WholeSound:
    """A clip's sound from its first picture on, of one length; a shorter one is repeated."""

    seconds: float
    rate_hz: int

    @property
    def key(self) -> str:
        """Digest of what it decodes to."""
        return digest(["whole sound", self.seconds, self.rate_hz, 1])

    def whole(self, files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
        """sound: float32 (samples,)."""
        length_s = min(mixture_render.picture_s(files["mp4"]), self.seconds)
        wave = mixture_render.sound(files["mp4"], self.rate_hz, length_s).wave
        if not len(wave):
            raise SampleFailed(Reason.undecodable, "its picture is shorter than a sample")
        return {"sound": np.resize(wave, round(self.seconds * self.rate_hz)).astype(np.float32)}

    def cut(self, whole: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """All of it."""
        del rng
        return dict(whole)

    def read(self, files: Mapping[str, bytes], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """All of it."""
        return self.cut(self.whole(files), rng)


class Queried:
    """Pairs of examples as a store is read: `take` as they are tried, `draw` as they teach. sound (B, 2, samples),
    query (B, 2, E)."""

    def __init__(
        self,
        found: SoundExamples,
        stores: Mapping[str, Vectors],
        places: np.ndarray,
        queries: np.ndarray,
        config: TrainConfig,
        encoders: Mapping[str, str],
    ) -> None:
        self.found, self.stores, self.places, self.queries = found, stores, places, queries
        self.length = round(config.source_s * config.rate_hz)
        self.samples, self.partners = config.samples, sounds.Partners(found)
        self.asked = sounds.deal(found, config.seed) if config.labels == "shuffled" else np.arange(len(found))
        said = [found.id.tolist(), queries.astype(np.float64).sum(1).tolist()]
        sound = {split: store.card for split, store in stores.items() if split != "test"}
        self.card = {"sounds": sound, "queries": digest(said), "encoders": dict(encoders)}

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Pairs as they are tried."""
        middle = (self.length - self.samples) // 2
        pairs = [(row, self.partners.draw(row, own(0, 0, self.found.id[row]))) for row in rows.tolist()]
        return self._pairs([(pair, (middle, middle), (1.0, 1.0)) for pair in pairs])

    def draw(self, rows: np.ndarray, seed: int, epoch: int) -> dict[str, np.ndarray]:
        """Pairs as they teach in an epoch."""
        drawn, room = [], self.length - self.samples + 1
        for row in rows.tolist():
            rng = own(seed, epoch, self.found.id[row])
            pair = row, self.partners.draw(row, rng)
            drawn.append((pair, rng.integers(room, size=2).tolist(), rng.uniform(LOW, HIGH, 2)))
        return self._pairs(drawn, self.asked)

    def _pairs(self, drawn: list, asked: np.ndarray | None = None) -> dict[str, np.ndarray]:
        sound = np.empty((len(drawn), 2, self.samples), np.float32)
        query = np.empty((len(drawn), 2, self.queries.shape[1]), np.float32)
        for k, (pair, starts, gains) in enumerate(drawn):
            for side, (row, at, gain) in enumerate(zip(pair, starts, gains, strict=True)):
                store = self.stores[self.found.split[row]]
                wave = store.arrays["sound"][self.places[row], at : at + self.samples]
                sound[k, side] = np.clip(wave * np.float32(gain), -1, 1) / 2
                query[k, side] = self.queries[row if asked is None else asked[row]]
        return {"sound": sound, "query": query}


def prepare(lake: Lake, folder: Path, name: str, config: TrainConfig, *, test: bool, every: bool = False) -> Prepared:
    """Everything of a run: clips that have sound, query vector and partner; with `every` also clips that the release
    does not keep, as clips of train, and of a list whichever it names. ContractError where too many have none."""
    if config.samples > round(config.source_s * config.rate_hz):
        raise ContractError(f"samples={config.samples} are more than source_s={config.source_s} s hold")
    splits = SPLITS if test else SPLITS[:2]
    found = sounds.examples(sounds.clips(folder, splits, every=every or bool(config.clips)))
    if config.clips:
        found = sets.listed(found, Path(config.clips), splits)
    inputs = {"query": config.query}
    if config.vectors:
        store, failed, encoders = of_file(lake, Path(config.vectors), ("query",)), {}, None
    else:
        store, failed = of_stages(lake, folder, inputs, 1)
        encoders = {"query": ", ".join(config.query)}
    vectors = Vectors.open(store)
    encoders = vectors.card.get("encoders", {}) if encoders is None else encoders
    rows = vectors.rows_of(sets.ids(found))
    left: dict[str, list[str]] = {}
    for row in np.flatnonzero(rows < 0):
        left.setdefault(failed.get(found.id[row], "missing"), []).append(str(found.id[row]))
    _bounded(left, len(found), config, "query vector")
    found, rows = found.take(rows >= 0), rows[rows >= 0]
    stores, places, silent = {}, np.full(len(found), -1, np.int64), np.zeros(len(found), bool)
    for split in sorted(set(found.split.tolist())):  # a store each: that of train is the same when test is read
        here = found.of(split)
        files = ClipFiles.of_release(lake, name, ids=found.id[here].tolist())
        sound = WholeSound(config.source_s, config.rate_hz)
        stores[split], _ = decoded(lake, files, sound, ("sound",), config.most_missing)
        places[here] = stores[split].rows_of(sets.ids(found.take(here)))
        heard = stores[split].arrays["sound"]
        silent[here] = [place >= 0 and not heard[place].any() for place in places[here]]
    for why, which in (("undecodable", places < 0), ("silent", silent)):
        if which.any():
            left[why] = sorted(found.id[which].tolist())
    there = (places >= 0) & ~silent
    found, rows, places = found.take(there), rows[there], places[there]
    alone = sounds.Partners(found).alone()
    if len(alone):
        left["no partner"] = sorted(found.id[alone].tolist())
        there = np.setdiff1d(np.arange(len(found)), alone)
        found, rows, places = found.take(there), rows[there], places[there]
    if not len(found.of("train")):
        raise ContractError(
            f"release {name} has no two training clips of other videos and labels with sound and query vector: "
            + ", ".join(f"{why} {len(ids)}" for why, ids in left.items())
        )
    queries = vectors.arrays["query"][rows].reshape(len(rows), -1)
    if not np.isfinite(queries).all():
        clip = found.id[int(np.flatnonzero(~np.isfinite(queries).all(1))[0])]
        raise ContractError(f"the query vector of clip {clip} has values that are not finite (NaN or infinity)")
    source = Queried(found, stores, places, np.asarray(queries), config, encoders)
    sizes = Sizes(config.samples, queries.shape[1], 1, 1, 0, narrow=config.narrow)
    return Prepared(name, folder, found, Joined(source, np.arange(len(found)), np.arange(len(found)), left), sizes)


def _bounded(left: Mapping[str, list[str]], count: int, config: TrainConfig, what: str) -> None:
    lacking = sorted({name for ids in left.values() for name in ids})
    if len(lacking) > config.most_missing * count:
        why = next(reason for reason, ids in left.items() if lacking[0] in ids)
        raise ContractError(
            f"{len(lacking)} of {count} clips have no {what}, more than {config.most_missing:.0%} "
            f"(--set most_missing=…); the first is clip {lacking[0]}: {why}"
        )
