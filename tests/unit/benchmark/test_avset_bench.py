"""The bench of AVSET-10M judges by the truth, and can fail on each of its aims."""

from __future__ import annotations

import pytest

from tests.bench import avset

TRUTH = {kind or "plain": {"planted": kind} for kind in (None, "mismatch", "voice_over", "music", "silent")}
CLIP = {"status": "kept", "first_failed_rule": None, "flag": 1, "flag_why": "speech heard", "is_recycled": True}


def found(*clips: dict) -> dict[str, dict[str, float]]:
    return avset.told(avset.sounds([{**CLIP, **clip} for clip in clips], TRUTH))


def test_a_clip_that_came_back_wrongly_costs_precision() -> None:
    over = {"url": "voice_over", "residual_z": 3.0, "residual_two_tower": 1.0}
    good = found(over, over, {**over, "status": "dropped"}, {"url": "music", "flag_why": "music heard"})
    assert [good["recycled"][name] for name in ("precision", "tp", "fp", "fn")] == [1.0, 2, 0, 1]
    assert [good["recycled by z"][name] for name in ("tp", "fn")] == [3, 0]
    assert [good["recycled by two_tower"][name] for name in ("tp", "fn")] == [0, 3]
    assert "recycled by bridge" not in good
    bad = found(
        over, over, *({**CLIP, "url": url, "residual_z": 2.0} for url in ("mismatch", "plain")), {"url": "gone"}
    )
    assert [bad[name]["precision"] for name in ("recycled", "recycled by z", "voice_over")] == [0.5, 0.5, 0.5]
    assert found(over, {"url": "plain", "is_recycled": False, "flag": 0})["recycled"]["precision"] == 1.0


@pytest.mark.parametrize(("what", "name"), list(avset.LIMITS))
def test_every_aim_can_be_missed(what: str, name: str) -> None:
    pooled = {of: {} for of, _ in avset.LIMITS}
    for (of, figure), least in avset.LIMITS.items():
        pooled[of][figure] = least
    assert avset.missed(pooled, avset.LIMITS) == []
    for value in (avset.LIMITS[what, name] - 1e-4, None):
        assert avset.missed({**pooled, what: {**pooled[what], name: value}}, avset.LIMITS) == [(what, name)]
    assert (what, name) in avset.missed({of: pooled[of] for of in pooled if of != what}, avset.LIMITS)
