"""Which clusterings are compared with which: pairings of layers, and weights of the pairs.

Columns are the visual layers in their order, then the audio layers. ACAV100M's released code (subset_selection)
defaults to `combination`, which also rewards agreement inside one modality; `bipartite` looks at what is asked,
agreement of picture and sound.
"""

from __future__ import annotations

import numpy as np

from winnow.core.errors import ConfigError

PAIRINGS = ("combination", "bipartite", "diagonal", "penultimate", "layer_<k>")
WEIGHTS = ("uniform", "linear", "log", "exp", "onehot")


def pairing(name: str, n_visual: int, n_audio: int) -> np.ndarray:
    """Pairs of columns, an int64 array of shape (P, 2), in lexicographic order.

    - `combination`: every two columns, those of one modality too;
    - `bipartite`: every visual with every audio column;
    - `diagonal`: the same layer of both, which must have equally many;
    - `layer_<k>`: layer k (from 0) of both; `penultimate`: the last column of each (with ACAV's five layers: layer_4).

    Raises `ConfigError` for an unknown name, a layer that is not there, or fewer than one layer a modality.
    """
    if n_visual < 1 or n_audio < 1:
        raise ConfigError(f"pairing {name}: needs a visual and an audio layer, got {n_visual} and {n_audio}")
    total = n_visual + n_audio
    if name == "combination":
        chosen = [(i, j) for i in range(total) for j in range(i + 1, total)]
    elif name == "bipartite":
        chosen = [(i, j) for i in range(n_visual) for j in range(n_visual, total)]
    elif name == "diagonal":
        if n_visual != n_audio:
            raise ConfigError(f"pairing diagonal: {n_visual} visual and {n_audio} audio layers; use bipartite")
        chosen = [(i, n_visual + i) for i in range(n_visual)]
    elif name == "penultimate":
        chosen = [(n_visual - 1, total - 1)]
    elif name.startswith("layer_") and name[6:].isdecimal():
        layer = int(name[6:])
        if layer >= min(n_visual, n_audio):
            raise ConfigError(f"pairing {name}: layers are 0 to {min(n_visual, n_audio) - 1}")
        chosen = [(layer, n_visual + layer)]
    else:
        raise ConfigError(f"pairing {name!r}: not one of {', '.join(PAIRINGS)}")
    return np.array(chosen, dtype=np.int64).reshape(-1, 2)


def pair_weights(name: str, pairs: np.ndarray, n_visual: int) -> np.ndarray:
    """Weight of each pair by the depth of its layers, a float64 array of shape (P,).

    With d = the sum of both depths (from 0 in each modality): uniform 1, linear 1 + d, log 1 + ln(1 + d), exp e^d,
    onehot 1 for the pairs of the greatest d and 0 else.
    """
    pairs = np.asarray(pairs)
    depth = np.where(pairs >= n_visual, pairs - n_visual, pairs).sum(axis=1).astype(np.float64)
    if name == "uniform":
        return np.ones(len(pairs))
    if name == "linear":
        return 1 + depth
    if name == "log":
        return 1 + np.log1p(depth)
    if name == "exp":
        return np.exp(depth)
    if name == "onehot":
        return (depth == depth.max()).astype(np.float64)
    raise ConfigError(f"pair weights {name!r}: not one of {', '.join(WEIGHTS)}")
