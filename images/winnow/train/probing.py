"""`winnow evaluate probe`: a linear probe on a run of contrast, trained where there is none, and tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from winnow.core.errors import ConfigError
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.train.config import load
from winnow.train.evaluate import evaluate
from winnow.train.runs import Run


def probe(
    lake: Lake,
    settings: Settings,
    run: str,
    split: str = "test",
    release: str | None = None,
    *,
    source: str | None = None,
    options: Sequence[str] = (),
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, object]:
    """Metrics of the probe `run`; where there is none, of one that is trained under this name on the run of contrast of
    this name, with these options. ConfigError where neither is there."""
    if not Run(lake, "probe", run).done:
        from winnow.train.fit import train

        under = Run(lake, "contrast", run)
        if not under.done:
            raise ConfigError(
                f"there is no run {run!r} of contrast to probe, nor a probe of this name: `winnow train contrast --run "
                f"{run}`, or for vectors of the lake `winnow train probe --model vectors --run {run}`"
            )
        card = under.card()
        model = "untrained" if card["config"]["untrained"] and card["model"] == "frozen" else card["model"]
        config = load("probe", source, [*options, f"of={run}"], (), model)
        train(lake, settings, "probe", config, run=run, release=card["release"], note=note)
    elif options or source:
        raise ConfigError(f"probe {run} is trained: train one of other options by `winnow train probe --set of=…`")
    return evaluate(lake, settings, "probe", run, split, release)
