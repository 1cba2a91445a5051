"""Several `winnow fit` at a time on one lake, as processes: who is late is told, and no model is lost."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path

import pytest

from tests.unit.measured import write_batch
from winnow.core.errors import EXIT_TRANSIENT, WinnowError
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake
from winnow.models import correspondence_fit

DAYS = ("2026-11-01", "2026-11-02")
body = importlib.import_module("winnow.fitting.fit")  # the package's `fit` is the function
fit, freeze = correspondence_fit.fit, body.freeze


class Fit:
    """A fork that has read all that it fits on, and goes on when it is told; it does not measure how good it is."""

    def __init__(self, lake: Lake, *days: str) -> None:
        ready, self._ready = os.pipe()
        self._go, go = os.pipe()
        self._said = Path(lake.root).parent / f"said-{go}"
        self.pid = os.fork()
        if self.pid == 0:
            self._run(lake, days)
        os.close(self._ready), os.close(self._go)
        self._go = go
        assert os.read(ready, 1) == b"r", "it ended before it fitted"
        os.close(ready)

    def _run(self, lake: Lake, days: tuple[str, ...]) -> None:
        def fit_when_told(*given: object) -> object:
            os.write(self._ready, b"r")
            os.read(self._go, 1)
            return fit(*given)

        try:
            correspondence_fit.fit = fit_when_told
            body.freeze = lambda *given, quality, **more: freeze(*given, **more)
            told = {"code": 0, **body.fit(lake, days)}
        except WinnowError as error:
            told = {"code": error.exit_code, "said": str(error)}
        except BaseException as error:
            told = {"code": 70, "said": repr(error)}
        self._said.write_text(json.dumps(told))
        os._exit(0)

    def end(self) -> dict:
        """Tell it to go on; what came of it."""
        os.write(self._go, b"g")
        os.close(self._go)
        os.waitpid(self.pid, 0)
        return json.loads(self._said.read_text())


@pytest.mark.fault(
    "two at once",
    "`winnow fit`",
    "of the same batches: one model; of others: the late one is refused with words, exit code 75, its model is kept, "
    "and the same command puts it in use",
)
def test_of_fits_at_a_time_one_is_in_use_and_none_is_lost(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    write_batch(lake, DAYS[0], range(12))
    write_batch(lake, DAYS[1], range(12, 24))
    first, same, late = [fit.end() for fit in [Fit(lake, DAYS[0]), Fit(lake, DAYS[0]), Fit(lake, *DAYS)]]
    assert [one["code"] for one in (first, same, late)] == [0, 0, EXIT_TRANSIENT]
    assert first["model"] == same["model"] == lake.model_current("correspond")
    assert f"It now says {first['model']}" in late["said"]
    assert f"Run `winnow fit --batches {','.join(DAYS)}` again" in late["said"]
    again = body.fit(lake, DAYS)
    assert (again["computed"], lake.model_current("correspond")) == (False, again["model"])
    assert again["model"] != first["model"]
    models = {first["model"], again["model"]}
    assert {name.partition(".")[0] for name in lake.list("models/correspond")} == {"current", *models}
    assert all(FrozenModel("correspond").read(lake, model) for model in models)
