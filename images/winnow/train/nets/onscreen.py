"""MixIT-4 with audio-visual attention: which of four sources has its cause on the screen (AudioScopeV2).

Each separated source is embedded over time, each of a picture's places too; attention lets the two see each other, and
every source gets one logit, for which correlations over time count too. Three kinds: `self`, all tokens of both sides
at once; `cross`, each side asks the other; `separable`, first over time on each side, then across sources and places at
each moment. Known of the released model is its figure alone; widths, embeddings, the correlations and the number of
layers are ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from winnow.train.nets.separator import Separator
from winnow.train.sizes import Sizes

SOURCES, WIDTH, BANDS, TOGETHER = 4, 128, 32, 16
N_FFT, HOP, TINY = 512, 256, 1e-5


class Blend(nn.Module):
    """What follows attention: added, normalised, a dense layer with dropout, added, normalised."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dense = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, width), nn.ReLU())

    def forward(self, x: Tensor, attended: Tensor) -> Tensor:
        x = self.first(x + attended)
        return self.second(x + self.dense(x))


class Asking(nn.Module):
    """Tokens (N, a, d) attend to others (N, b, d) → (N, a, d)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention, self.blend = nn.MultiheadAttention(width, heads, batch_first=True), Blend(width, dropout)

    def forward(self, x: Tensor, others: Tensor) -> Tensor:
        return self.blend(x, self.attention(x, others, others, need_weights=False)[0])


class Together(nn.Module):
    """Both sides' tokens, (N, a, d) and (N, v, d), attend to all of them."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.ask = Asking(width, heads, dropout)

    def forward(self, heard: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([heard, seen], 1)
        both = self.ask(both, both)
        return both[:, : heard.shape[1]], both[:, heard.shape[1] :]


class Across(nn.Module):
    """Each side attends to the other; what went in is added again, and normalised."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.hear, self.see = Asking(width, heads, dropout), Asking(width, heads, dropout)
        self.heard, self.seen = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, heard: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        return self.heard(heard + self.hear(heard, seen)), self.seen(seen + self.see(seen, heard))


class Separable(nn.Module):
    """Over time on each side, then across sources and places at each moment: (B, M, T, d), (B, G, T, d)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.hear, self.see = Asking(width, heads, dropout), Asking(width, heads, dropout)
        self.across = Across(width, heads, dropout)

    def forward(self, heard: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        heard, seen = (
            ask(x.flatten(0, 1), x.flatten(0, 1)).unflatten(0, x.shape[:2])
            for ask, x in ((self.hear, heard), (self.see, seen))
        )
        batch = heard.shape[0]
        at_once = self.across(heard.transpose(1, 2).flatten(0, 1), seen.transpose(1, 2).flatten(0, 1))
        return tuple(x.unflatten(0, (batch, -1)).transpose(1, 2) for x in at_once)


class Attention(nn.Module):
    """`layers` of one kind over (B, M, T, d) and (B, G, T, d); the shapes stay."""

    def __init__(self, kind: str, layers: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        one = {"self": Together, "cross": Across, "separable": Separable}[kind]
        self.separable = kind == "separable"
        self.layers = nn.ModuleList([one(width, heads, dropout) for _ in range(layers)])

    def forward(self, heard: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        shapes = heard.shape[1:3], seen.shape[1:3]
        if not self.separable:
            heard, seen = heard.flatten(1, 2), seen.flatten(1, 2)
        for layer in self.layers:
            heard, seen = layer(heard, seen)
        if self.separable:
            return heard, seen
        return heard.unflatten(1, shapes[0]), seen.unflatten(1, shapes[1])


class Onscreen(nn.Module):
    """sound: two mixtures (B, 2, samples), whose sum is taken apart; pictures (B, T, G, D) of the first. sources
    (B, M, samples), logits (B, M), mixtures as given, and whether the classifier learns already (it does not in the
    first `alone` steps, in which the separator learns by itself)."""

    seen_steps: Tensor

    def __init__(
        self,
        sizes: Sizes,
        kind: str,
        *,
        basis: str,
        blocks: int,
        repeats: int,
        layers: int,
        heads: int,
        dropout: float,
        alone: int,
    ) -> None:
        super().__init__()
        width = max(4 * heads, WIDTH // sizes.narrow // heads * heads)
        self.separator = Separator(SOURCES, basis, blocks, repeats, sizes.narrow)
        self.hear = nn.Sequential(
            nn.Conv1d(BANDS, width, 3, padding=1), nn.ReLU(), nn.Conv1d(width, width, 3, padding=1), nn.ReLU()
        )
        self.see = nn.Sequential(nn.Linear(sizes.visual, width), nn.ReLU(), nn.Linear(width, width))
        self.places = nn.Parameter(torch.randn(sizes.positions, 1, width) * 0.02)
        self.moments = nn.Parameter(torch.randn(sizes.seconds, width) * 0.02)
        self.attention = Attention(kind, layers, width, heads, dropout)
        self.together = nn.ModuleList([nn.Linear(width, TOGETHER) for _ in range(2)])
        self.classify = nn.Linear(2 * width + 2 * TOGETHER, 1)
        self.alone = alone
        self.register_buffer("seen_steps", torch.zeros((), dtype=torch.int64))

    def forward(self, sound: Tensor, pictures: Tensor) -> dict[str, Tensor]:
        if self.training:
            self.seen_steps += 1
        sources = self.separator(sound.sum(1))
        moments = pictures.shape[1]
        heard = nn.functional.adaptive_avg_pool1d(self.hear(bands(sources).flatten(0, 1)), moments)
        heard = heard.unflatten(0, sources.shape[:2]).transpose(2, 3) + self.moments
        seen = self.see(pictures).transpose(1, 2) + self.moments + self.places
        moved = self._together(heard, seen)
        heard = self.attention(heard, seen)[0]
        logits = self.classify(torch.cat([heard.mean(2), heard.amax(2), moved], -1))[..., 0]
        learns = (self.seen_steps > self.alone) if self.training else torch.ones((), dtype=torch.bool)
        return {"sources": sources, "logits": logits, "mixtures": sound, "joint": learns.to(sound.dtype)}

    def _together(self, heard: Tensor, seen: Tensor) -> Tensor:
        """Whether sound and picture rise and fall together: correlations over time of TOGETHER numbers of each source
        with those of each place, the mean and the largest over places: (B, M, 2·TOGETHER)."""
        heard, seen = (layer(x) for layer, x in zip(self.together, (heard, seen), strict=True))
        heard, seen = (nn.functional.normalize(x - x.mean(2, keepdim=True), dim=2) for x in (heard, seen))
        alike = torch.einsum("bmtk,bgtk->bmgk", heard, seen)
        return torch.cat([alike.mean(2), alike.amax(2)], -1)


def bands(sound: Tensor) -> Tensor:
    """Logarithmic power in bands that widen with frequency: (B, M, samples) → (B, M, BANDS, frames)."""
    window = torch.hann_window(N_FFT, device=sound.device, dtype=sound.dtype)
    power = torch.stft(sound.flatten(0, 1), N_FFT, HOP, window=window, return_complex=True).abs() ** 2
    edges = torch.logspace(0.3, 2.4, BANDS + 1, device=sound.device).round().long().clamp(1, N_FFT // 2)
    total = torch.nn.functional.pad(power.cumsum(1), (0, 0, 1, 0))
    low, high = edges[:-1], torch.maximum(edges[1:], edges[:-1] + 1)
    mean = (total[:, high] - total[:, low]) / (high - low)[:, None]
    return torch.log(mean.clamp_min(0) + TINY).unflatten(0, sound.shape[:2]) / 5
