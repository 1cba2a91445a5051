"""A takedown through three releases: one that holds it, the next, which tells only that it was taken down, and one that
is built after nothing of it is left but its ids and fingerprints. Rows add up in each."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import duckdb
import pytest

from tests.dbt.lake import Candidate, Clip, V, content, put_files, write_batch
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.sample import clip_id
from winnow.core.settings import Settings
from winnow.core.takedown import Tombstones
from winnow.release import history, publish, steps
from winnow.release.clean import clean
from winnow.release.takedown import takedown
from winnow.release.verify import verify

ONE, TWO, THREE, FOUR = (f"2026-11-0{day}" for day in range(1, 5))


def film(name: str, seen: int, uploader: str | None = None) -> Candidate:
    return Candidate(name, uploader=uploader or f"by {name}", clips=(Clip(0, 6, sketches=(seen, seen)),))


def days(lake: Lake, day: str, seq: int, films: list[Candidate]) -> None:
    write_batch(lake, day, seq, films)
    put_files(lake, day, [one.video for one in films])
    lake.create(f"batches/seq/{seq:08d}", day.encode())


def release(lake: Lake) -> str:
    return str(steps.release(lake, Settings(lake=lake.root))["release"])


def rows(lake: Lake, of: str, query: str) -> list[tuple]:
    with duckdb.connect(lake.full(f"releases/{of}/winnow.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


def tells(lake: Lake, of: str, word: str) -> list[str]:
    """Files of a release's tables and exports in which a word stands, however a column holds it."""
    found = []
    for path in sorted(Path(lake.full(f"releases/{of}")).rglob("*")):
        if path.suffix == ".parquet" and path.stem != "thresholds":
            with duckdb.connect() as con:
                text = str(con.execute(f"select list(t::varchar) from read_parquet('{path}') as t").fetchall())
        else:
            text = path.read_text() if path.suffix in (".csv", ".json", ".txt") and "manifest" not in path.name else ""
        found += [path.name] if word in text else []
    return found


def files(lake: Lake, day: str) -> set[str]:
    (tar,) = Path(lake.full(lake.folder("clip", V, day))).glob("*.tar")
    with tarfile.open(tar) as there:
        return {name.partition(".")[0] for name in there.getnames()}


def of(film: Candidate, start_s: float = 0) -> str:
    return clip_id(film.video_id, start_s, start_s + 6)


def has_media(lake: Lake, name: str) -> bool:
    return lake.exists(lake.media_key(sha256_bytes(content(name)), "mp4"))


@pytest.fixture
def ungated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gate and report cost more than what is looked at here."""

    def passed(work: Path, *_: object) -> dict[str, object]:
        (work / "gates").mkdir(exist_ok=True)
        (work / "gates" / "release.json").write_text(json.dumps({"passed": True}))
        (work / "report.html").write_text("<p>")
        return {"release": steps.Draft.read(work, "hash").release, "already": False}

    monkeypatch.setattr(steps, "_STEPS", {**steps._STEPS, "gate": passed, "report": passed})


def test_a_takedown_through_three_releases(lake: Lake, ungated: None) -> None:
    wanted, hers, copy, fine = (
        film("wanted", 1),
        film("hers", 2, "Ann"),
        film("doppelganger", 1, "Eve"),
        film("fine", 6),
    )
    both = Candidate("both", uploader="by both", clips=(Clip(0, 6, sketches=(7, 7)), Clip(20, 26, sketches=(8, 8))))
    days(lake, ONE, 0, [wanted, hers, film("stays", 3), both])
    days(lake, TWO, 1, [copy, fine])
    before = release(lake)
    assert tells(lake, before, "wanted.mp4"), "the other releases are asked the same"

    asked = [
        takedown(lake, "source", [wanted.url], "asked"),
        takedown(lake, "uploader", ["ANN"], "asked too"),
        takedown(lake, "id", [of(both, 20)], "this part"),
    ]
    assert [(found["releases"], found["copies"]) for found in asked] == [
        ({before: 1}, 1),
        ({before: 1}, 0),
        ({before: 1}, 0),
    ]
    assert asked[0]["files"] == {before: 1}
    days(lake, THREE, 2, [film("later", 5, " ann "), film("third", 9)])
    after = release(lake)
    kept = {title for (title,) in rows(lake, after, "select title from fct_clips where status = 'kept'")}
    assert kept == {"stays", "both", "fine", "third"}
    gone = rows(
        lake,
        after,
        "select sample_id, detail, columns(* exclude (sample_id, detail)) from fct_clips"
        " where first_failed_rule = 'taken_down'",
    )
    details = {row[0]: row[1] for row in gone}
    assert set(details) == {of(wanted), of(hers), of(copy), of(both, 20), of(film("later", 5))}
    assert details[of(copy)] == f"a copy of {of(wanted)}, which was taken down"
    assert details[of(hers)].startswith("its uploader was taken down on 20")
    assert details[of(both, 20)].endswith(": this part")
    filled = [[value for value in row if value is not None] for row in gone]
    assert all(len(one) == 7 for one in filled), "sample, video, batch, row, status, rule and why: nothing else"
    for word in ("wanted", "hers", "Ann", "ann ", "doppelganger", "Eve", "later"):
        assert tells(lake, after, word) == [], word
    ledger = "select count(*) from fct_removed where reason = 'taken_down' and is_first"
    assert rows(lake, after, ledger) == [(5,)]
    assert rows(lake, after, "select sum(unexplained) from rpt_funnel") == [(0,)]
    assert rows(lake, after, "select count(*) from ops.fct_clip_files") == [(4,)]
    assert {row["release"]: row["taken_down"] for row in history.listed(lake)} == {before: 3, after: 0}, (
        "one was a copy that was not kept"
    )

    done = clean(lake, older_than_s=0)
    assert done["taken_down"] == {before: 4}
    assert {kind: freed["files"] for kind, freed in done["frees"].items() if freed["files"]} == {"taken_down": 3}
    assert files(lake, THREE) == {of(film("third", 9))}, "no release names the file of what came after the takedown"
    assert of(wanted) in files(lake, ONE)
    assert verify(lake, everything=True)["faults"] == []

    done = clean(lake, keep=1, older_than_s=0)
    assert (done["releases"], done["taken_down"]) == ({"kept": [after], "removed": [before]}, {})
    assert publish.releases(lake) == [after]
    assert files(lake, ONE) == {of(film("stays", 3)), of(both)}
    assert files(lake, TWO) == {of(fine)}
    there = {name: has_media(lake, name) for name in ("wanted", "hers", "doppelganger", "later", "both", "fine")}
    assert [name for name, is_there in there.items() if is_there] == ["both", "fine"], "both: one of its clips stands"
    assert verify(lake, everything=True)["faults"] == []
    refused = Tombstones.of(lake)
    assert refused.over({"id": copy.video_id}) == f"a copy of {of(wanted)}, which was taken down"
    assert refused.over({"file": sha256_bytes(content("doppelganger"))})
    assert clean(lake, keep=1, older_than_s=0)["bytes"] == 0

    again = film("again", 1, "Mallory")
    days(lake, FOUR, 3, [again, film("new", 12)])
    third = release(lake)
    assert history.compared(lake, after, third)["out"]["clips"] == 0
    query = "select title, detail from fct_clips where batch = '2026-11-04' order by title"
    assert rows(lake, third, query) == [("new", None), (None, f"a copy of {of(wanted)}, which was taken down")]
    assert refused.over({"id": again.video_id}) is None
    clean(lake, keep=1, older_than_s=0)
    assert Tombstones.of(lake).over({"id": again.video_id}), "a copy that came later is noted as its files go"
    assert (files(lake, FOUR), has_media(lake, "again")) == ({of(film("new", 12))}, False)
    assert verify(lake, everything=True)["faults"] == []
