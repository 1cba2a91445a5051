"""Five layers of features of small grey pictures, from the signal alone: pixels, gradients, projections, patches, and
the manifold that the pictures themselves lie on. No label is read."""

from __future__ import annotations

import numpy as np

from winnow.benchmark.manifold import embed

LAYERS = ("pixels", "gradients", "projections", "patches", "manifold")


def describe(images: np.ndarray, seed: int) -> list[np.ndarray]:
    """The five layers, in the order of LAYERS: float32 (n, dim) each.

    images: float32 (n, 8, 8) in 0 to 1. The last two are fitted on these very pictures.
    """
    from scipy.ndimage import gaussian_filter, zoom

    n = len(images)
    smooth = gaussian_filter(images, (0, 0.6, 0.6))
    pixels = smooth.reshape(n, -1)
    large = zoom(images, (1, 2, 2), order=1)
    slopes = gradients(gaussian_filter(large, (0, 0.7, 0.7)))
    lines = projections(images)
    parts = patches(gaussian_filter(large, (0, 0.5, 0.5)), seed)
    views = [pixels, slopes, parts]
    return [np.asarray(v, np.float32) for v in (pixels, slopes, lines, parts, embed(views, seed))]


def gradients(images: np.ndarray, cells: int = 4, bins: int = 8) -> np.ndarray:
    """Histograms of gradient directions in a grid of cells, each picture's square roots of shares.

    images: (n, height, width). Returns (n, cells² · bins). After Dalal & Triggs, Histograms of oriented gradients,
    2005, with soft bins and without blocks.
    """
    dy, dx = np.gradient(images, axis=(1, 2))
    size = np.hypot(dx, dy)
    place = (np.arctan2(dy, dx) / (2 * np.pi) % 1) * bins
    out = np.zeros((len(images), cells, cells, bins))
    step = images.shape[1] // cells
    for b in range(bins):
        near = np.maximum(1 - np.abs((place - b + bins / 2) % bins - bins / 2), 0) * size
        out[..., b] = near.reshape(len(images), cells, step, cells, step).sum(axis=(2, 4))
    flat = out.reshape(len(images), -1)
    return np.sqrt(flat / np.maximum(flat.sum(axis=1, keepdims=True), 1e-9))


def projections(images: np.ndarray, angles: int = 8) -> np.ndarray:
    """Sums along parallel lines in several directions (a coarse Radon transform), each picture's of length one.

    images: (n, side, side). Returns (n, angles · side).
    """
    side = images.shape[1]
    grid = np.arange(side) - (side - 1) / 2
    y, x = np.meshgrid(grid, grid, indexing="ij")
    out = []
    for angle in np.arange(angles) * np.pi / angles:
        place = x * np.cos(angle) + y * np.sin(angle) + (side - 1) / 2
        weights = np.maximum(1 - np.abs(place.reshape(-1, 1) - np.arange(side)), 0)
        out.append(images.reshape(len(images), -1) @ weights)
    flat = np.concatenate(out, axis=1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


def patches(images: np.ndarray, seed: int, size: int = 5, words: int = 64, cells: int = 4) -> np.ndarray:
    """How much each quarter of a picture looks like each of a dictionary of patches that k-means finds.

    images: (n, height, width). Returns (n, cells² · words). After Coates, Lee & Ng, An analysis of single-layer
    networks in unsupervised feature learning, 2011 (triangle activation).
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    view = np.lib.stride_tricks.sliding_window_view(np.pad(images, ((0, 0), (1, 1), (1, 1))), (size, size), axis=(1, 2))
    n, rows, columns = view.shape[:3]
    flat = view.reshape(n * rows * columns, -1).astype(np.float32)
    flat = flat - flat.mean(axis=1, keepdims=True)
    rng = np.random.default_rng([seed, 16])
    sample = flat[rng.choice(len(flat), min(len(flat), 20_000), replace=False)]
    white = PCA(12, whiten=True, random_state=0).fit(sample)
    code = KMeans(words, n_init=1, max_iter=30, random_state=0).fit(white.transform(sample))
    out = []
    for part in np.array_split(np.arange(n), max(n // 500, 1)):
        distance = code.transform(white.transform(flat.reshape(n, rows * columns, -1)[part].reshape(-1, size * size)))
        active = np.maximum(distance.mean(axis=1, keepdims=True) - distance, 0).reshape(len(part), rows, columns, words)
        halves = [np.array_split(np.arange(length), cells) for length in (rows, columns)]
        out.append(np.stack([active[:, a][:, :, b].mean(axis=(1, 2)) for a in halves[0] for b in halves[1]], axis=1))
    return np.sqrt(np.concatenate(out).reshape(n, -1))
