"""Where samples lie on the manifold that the samples themselves span: a graph of nearest neighbours, and the slowest
ways to move on it (Laplacian eigenmaps; Belkin & Niyogi, 2003). It sees classes that bend, which k-means on the signal
cuts in pieces. No label is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def embed(views: Sequence[np.ndarray], seed: int, dims: int = 12, neighbours: int = 12) -> np.ndarray:
    """Coordinates on the manifold of samples described by several views: float32 (n, dims).

    views: (n, dim) each, put on a common scale (mean distance 1) and side by side. Edges are weighed by distance over
    that to either end's last neighbour (Zelnik-Manor & Perona, Self-tuning spectral clustering, 2004). The slowest way
    to move comes first, none is weighed, and rows have length 1 (Ng, Jordan & Weiss, On spectral clustering, 2001).
    """
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import eigsh
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    parts = []
    for view in views:
        centred = view - view.mean(axis=0)
        parts.append(centred / max(np.sqrt((centred**2).sum(axis=1).mean()), 1e-9))
    joined = np.concatenate(parts, axis=1)
    n = len(joined)
    low = PCA(min(40, n - 1, joined.shape[1]), svd_solver="full", random_state=0).fit_transform(joined)
    k = min(neighbours, n - 1)
    distance, index = NearestNeighbors(n_neighbors=k + 1).fit(low).kneighbors(low)
    distance, index = distance[:, 1:], index[:, 1:]
    scale = np.maximum(distance[:, -1], 1e-9)
    weight = np.exp(-(distance**2) / (scale[:, None] * scale[index]))
    graph = coo_matrix((weight.ravel(), (np.repeat(np.arange(n), k), index.ravel())), shape=(n, n)).tocsr()
    graph = graph.maximum(graph.T)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    root = diags(1 / np.sqrt(degree))
    start = np.random.default_rng([seed, 32]).normal(size=n)
    count = min(dims, n - 2)
    values, vectors = eigsh(root @ graph @ root, k=count, which="LA", v0=start)
    order = np.argsort(-values)
    vectors = vectors[:, order]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(count)])
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)).astype(np.float32)
