"""Options of the tasks that take sounds apart: `onscreen` and `query-separate`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class SeparationOptions(BaseModel):
    """What stands among a run's options (`winnow.train.config.TrainConfig`) for these tasks."""

    mixtures: str | None = Field(None, description="onscreen: batch of `winnow mix`; mix-<release> by default")
    rate_hz: int = Field(16_000, ge=1_000, le=48_000, description="of sound that is taken apart")
    clip_s: float = Field(5.0, gt=0, description="onscreen: seconds of a mixture, from its beginning")
    per_s: float = Field(4.0, gt=0, description="onscreen: pictures a second that the attention sees")
    basis: Literal["stft", "learnt"] = Field("stft", description="onscreen: what masks are applied to")
    core_blocks: int = Field(4, ge=1, description="onscreen: blocks of a repeat of the separator's core")
    core_repeats: int = Field(1, ge=1, description="onscreen: repeats of them")
    layers: int = Field(1, ge=1, description="onscreen: layers of attention")
    heads: int = Field(4, ge=1, description="onscreen: heads of each")
    dropout: float = Field(0.1, ge=0, lt=1, description="onscreen: of the attention's dense layers")
    onscreen: float = Field(1.0, ge=0, description="onscreen: weight of the classifier's loss")
    alone_steps: int = Field(0, ge=0, description="onscreen: first steps in which the separator learns alone")
    osr_db: float = Field(6.0, description="onscreen: suppression that val is calibrated to, dB")
    samples: int = Field(65_535, ge=4_096, description="query-separate: samples of a source")
    source_s: float = Field(10.0, gt=0, description="query-separate: seconds of a clip that crops are drawn from")
    query: tuple[str, ...] = Field(
        ("visual.v0", "visual.v1", "visual.v2", "visual.v3", "visual.v4"),
        description="query-separate: stage.column of the query vector",
    )
    noise: float = Field(0.1, ge=0, description="query-separate, clipsep-nit: weight of the noise heads' regulariser")
    noise_room: float = Field(0.25, ge=0, description="query-separate, clipsep-nit: what of noise it lets be")
    rise_steps: int = Field(0, ge=0, description="steps in which the rate rises to its value")
    fall_steps: int | None = Field(None, ge=1, description="the rate falls in a line until this step, to fall_to")
    fall_to: float = Field(0.1, gt=0, le=1, description="share of the rate that it falls to")


def ramp(options: SeparationOptions, step: int) -> float:
    """What the learning rate is multiplied with: up in a line, then down in one; 1 where neither is asked for."""
    if step < options.rise_steps:
        return (step + 1) / options.rise_steps
    if options.fall_steps is None:
        return 1.0
    passed = (step - options.rise_steps) / max(options.fall_steps - options.rise_steps, 1)
    return max(1.0 - (1.0 - options.fall_to) * passed, options.fall_to)
