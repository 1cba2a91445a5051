"""BySecond: stages whose vectors are of every second of a clip, which models that localise events are trained on.

Row i of a clip is of its seconds i … i + 1 and nothing else. A table has as many seconds as its parameter says: of a
longer clip the first ones, of a shorter one the last second that is there again and again, as the published features
have it; `n_seconds` tells how many were there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from pydantic import Field

from winnow.core.stage import StageParams
from winnow.models.pretrained import Encoder, Pretrained, PretrainedParams

if TYPE_CHECKING:
    from winnow.models.torch_batches import Answered


class Placed(Encoder, Protocol):
    """An encoder whose one vector, `features`, is of so many `positions` of a picture (1 of a sound)."""

    @property
    def positions(self) -> int:
        """How many vectors a row has."""


class SecondParams(StageParams):
    """seconds: of a clip, from its beginning."""

    seconds: int = Field(10, ge=1, le=60)


class BySecond(Pretrained):
    """A stage over clips whose table holds an encoder's vector of every second.

    One row per clip: features, half precision, flat in the order second, position, number; seconds, positions: how many
    of each; n_seconds: how many seconds the clip has itself; model: which checkpoint."""

    flow = "score"
    counted = "n_seconds"
    schema = {
        "features": "float16[]",
        "seconds": "int64",
        "positions": "int64",
        "n_seconds": "int64",
        "model": "string",
    }
    encoder: Placed

    class Params(PretrainedParams, SecondParams):
        """`PretrainedParams`, `SecondParams`."""

    def columns(self) -> Mapping[str, str]:
        """The schema, of as many numbers as seconds and network make."""
        if not hasattr(self, "encoder"):
            return self.schema
        return {**self.schema, "features": f"float16[{self.params.seconds * self.encoder.widths['features']}]"}

    def finish(self, clip: Answered) -> dict[str, object]:
        """The columns of one clip from its rows' values, (n, width), and `aside`, which second each row is of: (n,),
        from 0 on without a gap."""
        import numpy as np

        from winnow.models.torch_batches import half

        count = int(clip.aside[-1]) + 1
        means = [clip.values[clip.aside == k].mean(axis=0, dtype=np.float64) for k in range(count)]
        wanted = [means[min(k, count - 1)] for k in range(self.params.seconds)]
        return {
            **half({"features": np.concatenate(wanted)}),
            "seconds": self.params.seconds,
            "positions": self.encoder.positions,
            self.counted: count,
            "model": self.label,
        }
