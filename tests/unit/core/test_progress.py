"""A person at a terminal sees how far a shard is; a log does not."""

from __future__ import annotations

import io

import pytest

from winnow.core.progress import counted, shown
from winnow.core.sample import Outcome, Reason


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "is_shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_a_terminal_counts_samples_and_a_log_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, stream, is_shown) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    made = [Outcome.ok("a1", {}, parent="a"), Outcome.ok("a2", {}, parent="a"), Outcome.failed("b", Reason.gone, "")]
    assert list(shown(made, "clip 00003", 2)) == made
    assert ("clip 00003" in stream.getvalue()) is is_shown
    assert ("2/2" in stream.getvalue()) is is_shown, "clips of one video count once"


@pytest.mark.parametrize(("stream", "is_shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_a_run_that_goes_on_counts_from_where_it_was(monkeypatch: pytest.MonkeyPatch, stream, is_shown) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    assert list(counted(iter("abc"), "train psp", 9, 6)) == ["a", "b", "c"]
    assert ("train psp" in stream.getvalue()) is is_shown
    assert ("6/9" in stream.getvalue()) is is_shown
    assert ("9/9" in stream.getvalue()) is is_shown
