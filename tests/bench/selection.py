"""Greedy selection by mutual information: time, memory and quality, against the released algorithm's cost.

    .venv/bin/python tests/bench/selection.py [--quick] [--huge] [--json]

Assignments are made: 5 layers a modality, 32 clusters, half of the clips true pairs, a layer replaced by a random
cluster with probability 0.3 (ACAV100M's set-up has these counts). Figures:

- speed: N = 10 k, 40 k, 1 M, 10 M (`--huge`: 100 M, 4 GB), 20 % selected: wall and CPU seconds (least of several runs),
  clips/s, peak memory while selecting, assignments included, as a multiple of the assignments' own size, and CPU time a
  clip against the smallest N (1 is linear growth).
- reference: the same rounds as the released code has them, in numpy: all remaining candidates permuted and checked
  for repetition every round, a dense contingency table for every candidate. Its time, and its mean MI over five seeds
  beside ours over a hundred, with the standard error of their difference: at its batch and take both algorithms draw
  from one distribution of selections.
- quality: mean MI and precision (share of true pairs), what they cost, and what a CPU second buys of either above a
  random selection, by batch and take, at 20 % and 50 %. `bayes` is the precision of ranking by the generator's own
  likelihood ratio, which no selection can pass.

Exit status 1 when one of the limits below is passed: SECONDS of CPU at 20/4, bipartite, times ROOM; MEMORY and GROWTH
at every setting; mean MI at 20/4 more than ERRORS standard errors below the reference's; the reference less than FASTER
times slower. With --quick there is QUICK_ROOM, and two small sizes.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import os
import sys
import time

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np

from winnow.selection import DEFAULT_BATCH, DEFAULT_TAKE, PRESETS, batch_greedy, exact_greedy, mutual_information
from winnow.selection import pairing as pairs_of

LAYERS, CLUSTERS, NOISE = 5, 32, 0.3
PAIRINGS = ("bipartite", "combination")
#: CPU seconds in which 20 % of so many clips are to be selected.
SECONDS = {40_000: 0.005, 1_000_000: 0.1, 10_000_000: 2.0, 100_000_000: 30.0}
#: Two cores that other work shares take up to twice the time for the same instructions: caches are shared too. With
#: --quick, on any machine, only another algorithm is as slow as that.
ROOM, QUICK_ROOM = 2, 10
#: Peak memory over the assignments' own, from a million clips on; CPU time a clip over that of the smallest size, which
#: is read from caches: linear growth apart from that.
MEMORY, GROWTH = 1.5, 3
#: Ours may lie so many standard errors below; and is so many times faster, at least.
ERRORS, FASTER = 2, 100
GRID = (
    (20, 4),
    (40, 8),
    (100, 25),
    (20, 2),
    (10, 1),
    (20, 1),
    (40, 1),
    (50, 1),
    (100, 1),
    (200, 4),
    (400, 8),
    (200, 1),
)


def made(clips: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Assignments uint8 (clips, 10) and which clips are true pairs; made by chunks, so that memory stays low."""
    out, true = np.empty((clips, 2 * LAYERS), np.uint8), np.empty(clips, bool)
    rng = np.random.default_rng(seed)
    for start in range(0, clips, 1 << 20):
        here = slice(start, min(clips, start + (1 << 20)))
        count = here.stop - start
        true[here] = rng.random(count) < 0.5
        picture = rng.integers(CLUSTERS, size=count, dtype=np.uint8)
        sound = np.where(true[here], picture, rng.integers(CLUSTERS, size=count, dtype=np.uint8))
        for layer in range(2 * LAYERS):
            other = rng.integers(CLUSTERS, size=count, dtype=np.uint8)
            base = picture if layer < LAYERS else sound
            out[here, layer] = np.where(rng.random(count, dtype=np.float32) < NOISE, other, base)
    return out, true


def bayes_precision(labels: np.ndarray, true: np.ndarray, size: int) -> float:
    """Precision of the `size` clips of the greatest likelihood ratio under the generator."""
    right, wrong = 1 - NOISE + NOISE / CLUSTERS, NOISE / CLUSTERS
    likelihoods = []
    for side in (labels[:, :LAYERS], labels[:, LAYERS:]):
        match = (side[:, :, None] == np.arange(CLUSTERS)).sum(axis=1)
        likelihoods.append(np.exp(match * np.log(right) + (LAYERS - match) * np.log(wrong)))
    seen, heard = likelihoods
    ratio = (seen * heard).mean(axis=1) / (seen.mean(axis=1) * heard.mean(axis=1))
    return float(true[np.argsort(-ratio, kind="stable")[:size]].mean())


def reference(labels: np.ndarray, pairs: np.ndarray, size: int, batch: int, take: int, seed: int) -> np.ndarray:
    """Batch greedy as released (spec: ACAV100M, section 7.3), plainly: O(clips + batch · pairs · clusters²) a round."""
    rng = np.random.default_rng(seed)
    cells = labels[:, pairs[:, 0]].astype(np.int64) * CLUSTERS + labels[:, pairs[:, 1]]
    tables = np.full((len(pairs), CLUSTERS * CLUSTERS), np.finfo(np.float64).eps)
    left, each, order = np.arange(len(labels)), np.arange(len(pairs)), []
    tables[each, cells[rng.integers(len(labels))]] += 1
    while len(order) < size:
        left = rng.permutation(left)
        assert len(np.unique(left)) == len(left)
        drawn = left[:batch]
        joint = np.repeat(tables[None], len(drawn), axis=0)
        joint[np.arange(len(drawn))[:, None], each, cells[drawn]] += 1
        joint = joint.reshape(len(drawn), len(pairs), CLUSTERS, CLUSTERS)
        n = joint.sum(axis=(2, 3), keepdims=True)
        first, second = joint.sum(axis=3, keepdims=True), joint.sum(axis=2, keepdims=True)
        scores = (
            (joint / n * (np.log(joint) + np.log(n) - np.log(first) - np.log(second))).sum(axis=(2, 3)).mean(axis=1)
        )
        best = np.argsort(-scores, kind="stable")[:take]
        for clip in drawn[best]:
            tables[each, cells[clip]] += 1
        order += drawn[best].tolist()
        left = np.delete(left, best)
    return np.array(order[:size])


def timed(repeats: int, function, *arguments) -> tuple[float, float, object]:
    """Least wall and CPU seconds of some runs, and the result."""
    wall, cpu = [], []
    for _ in range(repeats):
        clock, used = time.perf_counter(), time.process_time()
        result = function(*arguments)
        wall.append(time.perf_counter() - clock)
        cpu.append(time.process_time() - used)
    return min(wall), min(cpu), result


def memory(name: str) -> int:
    """VmRSS or VmHWM of this process, bytes."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name + ":"))


def forget_peak() -> None:
    """Let VmHWM start anew, from what the process holds now."""
    ctypes.CDLL(None).malloc_trim(0)  # what was freed is not there to be used again unseen
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")


def speed(clips: int, name: str, batch: int, take: int, repeats: int, answer) -> None:
    """One size in a process of its own: its peak is nobody else's."""
    warm, _ = made(1000, 1)
    pairs = pairs_of(name, LAYERS, LAYERS)
    batch_greedy(warm, pairs, 200, batch, take, 0)
    labels, true = made(clips, 0)
    forget_peak()
    before = memory("VmRSS")
    first, _, _ = timed(1, batch_greedy, labels, pairs, clips // 5, batch, take, 0)
    more = memory("VmHWM") - before
    wall, cpu, (order, gain) = timed(repeats, batch_greedy, labels, pairs, clips // 5, batch, take, 0)
    figure = {"clips": clips, "pairing": name, "batch": batch, "take": take, "wall_s": min(first, wall), "cpu_s": cpu}
    figure |= {"clips_per_s": round(clips / cpu), "mi": float(gain.sum()), "precision": float(true[order].mean())}
    answer.put(figure | ({"memory_ratio": 1 + more / labels.nbytes} if clips >= 1_000_000 else {}))


def speeds(sizes: list[int], settings: list[tuple[int, int]], room: float, show) -> bool:
    """Every size, pairing and setting, and whether the limits hold."""
    context, good = multiprocessing.get_context("spawn"), True
    for batch, take in settings:
        for name in PAIRINGS:
            base = None
            for clips in sizes:
                answer = context.Queue()
                repeats = max(1, min(20, 10_000_000 // clips))
                child = context.Process(target=speed, args=(clips, name, batch, take, repeats, answer))
                child.start()
                figure = answer.get()
                child.join()
                base = base or figure["cpu_s"] / clips
                figure["growth"] = figure["cpu_s"] / clips / base
                show("selection speed", **figure)
                good &= figure["growth"] <= GROWTH and figure.get("memory_ratio", 0) <= MEMORY
                if (batch, take, name) == (*PRESETS["acav"], "bipartite") and clips in SECONDS:
                    good &= figure["cpu_s"] <= SECONDS[clips] * room
    return good


def against_reference(sizes: list[int], seeds: int, show) -> bool:
    """Time and mean MI of both at ACAV100M's 20/4, and whether the limits hold."""
    good = True
    for clips in sizes:
        for name in PAIRINGS:
            labels, _ = made(clips, 0)
            pairs = pairs_of(name, LAYERS, LAYERS)
            runs = [timed(1, reference, labels, pairs, clips // 5, 20, 4, seed) for seed in range(seeds)]
            theirs = float(np.mean([mutual_information(labels, pairs, run[2]) for run in runs]))
            batch_greedy(labels, pairs, clips // 5, 20, 4, 0)
            mine = [timed(1, batch_greedy, labels, pairs, clips // 5, 20, 4, seed) for seed in range(100)]
            spread = [run[2][1].sum() for run in mine]
            ours = float(np.mean(spread))
            error = float(np.std(spread, ddof=1) * np.sqrt(1 / len(runs) + 1 / len(mine)))
            chosen = np.mean([batch_greedy(labels, pairs, clips // 5, seed=seed)[1].sum() for seed in range(seeds)])
            ratio = min(run[1] for run in runs) / min(run[1] for run in mine)
            show(
                "selection reference",
                clips=clips,
                pairing=name,
                seeds=seeds,
                cpu_s=min(run[1] for run in mine),
                reference_cpu_s=min(run[1] for run in runs),
                ratio=ratio,
                mi=ours,
                reference_mi=theirs,
                error=error,
                mi_default=float(chosen),
            )
            good &= ratio >= FASTER and ours >= theirs - ERRORS * error
    return good


def at_random(labels: np.ndarray, true: np.ndarray, pairs: np.ndarray, size: int, seed: int) -> tuple[float, float]:
    """Mean MI and precision of a random selection."""
    chosen = np.random.default_rng(seed).permutation(len(labels))[:size]
    return mutual_information(labels, pairs, chosen), float(true[chosen].mean())


def quality(clips: int, seeds: int, exact: bool, show) -> None:
    """What batch and take buy, by pairing and ratio; means over corpora and seeds."""
    for name in PAIRINGS:
        pairs = pairs_of(name, LAYERS, LAYERS)
        for ratio in (0.2, 0.5):
            size = round(ratio * clips)
            corpora = [made(clips, seed) for seed in range(seeds)]
            chance = np.mean([at_random(*corpus, pairs, size, seed) for seed, corpus in enumerate(corpora)], axis=0)
            bayes = np.mean([bayes_precision(labels, true, size) for labels, true in corpora])
            for batch, take in (*GRID, *([(clips, 0)] if exact else [])):
                runs, right = [], []
                for seed, (labels, true) in enumerate(corpora):
                    if take:
                        runs.append(timed(2, batch_greedy, labels, pairs, size, batch, take, seed))
                    else:
                        runs.append(timed(1, exact_greedy, labels, pairs, size))
                    right.append(true[runs[-1][2][0]].mean())
                cpu = np.mean([run[1] for run in runs])
                bought = np.array([np.mean([run[2][1].sum() for run in runs]), np.mean(right)])
                mi_per_s, precision_per_s = ((bought - chance) / cpu).tolist()
                show(
                    "selection quality",
                    clips=clips,
                    pairing=name,
                    ratio=ratio,
                    setting=f"{batch}/{take}" if take else "exact",
                    cpu_s=float(cpu),
                    mi=float(bought[0]),
                    mi_per_s=mi_per_s,
                    precision=float(bought[1]),
                    precision_per_s=precision_per_s,
                    bayes=float(bayes),
                )


def main() -> int:
    """Run, print, and say whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, within 30 s")
    parser.add_argument("--huge", action="store_true", help="100 M clips too: 4 GB of memory, minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()

    def show(bench: str, **figure: object) -> None:
        figure = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in figure.items()}
        figure = {"bench": bench, **figure}
        print(json.dumps(figure) if options.json else "  ".join(f"{k} {v}" for k, v in figure.items()), flush=True)

    show("selection machine", cpus=os.cpu_count(), load=os.getloadavg()[0])
    sizes = [10_000, 40_000] if options.quick else [10_000, 40_000, 1_000_000, 10_000_000]
    settings = list(dict.fromkeys([PRESETS["acav"], (DEFAULT_BATCH, DEFAULT_TAKE)]))
    room = QUICK_ROOM if options.quick else ROOM
    good = speeds(sizes + [100_000_000] * options.huge, settings[: 1 if options.quick else 2], room, show)
    if options.quick:
        good &= against_reference([2_000], 2, show)
        quality(4_000, 1, False, show)
    else:
        good &= against_reference([10_000, 40_000], 5, show)
        quality(40_000, 3, True, show)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
