"""The explorer's page of audits: asked blindly, stored once, corrected, disagreed about; and what it refuses."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.unit import explored
from tests.unit.explored import browser, draw, judge, shown, verdicts
from winnow.audit import sampling
from winnow.core.lake import Lake

DROPPED = explored.sample_id(explored.DROPPED)
#: What a page must not show before a verdict: decisions, measures, labels, strata.
TELLS = r"low_correspondence|low correspondence|\bz\b|\bkept\b|dropped|dog barking|playing violin|band|stratum"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return explored.build(tmp_path)[0]


@pytest.fixture
def sample(lake: Lake) -> list[dict]:
    return draw(lake)


def test_without_a_sample_the_page_says_how_to_draw_one(lake):
    page = browser(lake).get("/audit").text
    assert "winnow audit --size" in page
    assert "No sample is drawn yet" in browser(lake).get("/people").text


def test_the_page_draws_a_sample_itself_where_it_may(lake):
    ann = browser(lake, draw=sampling.draw_into)
    assert "Draw a sample" in ann.get("/audit").text
    refused = ann.post("/audit/draw", data={"token": "0" * 64, "size": 3}, follow_redirects=False)
    assert (refused.status_code, ann.post("/audit/draw", data={"token": ann.token, "size": 0}).status_code) == (
        403,
        422,
    )
    assert "No sample is drawn yet" in ann.get("/audit").text
    page = ann.post("/audit/draw", data={"token": ann.token, "size": 3}).text
    assert shown(page) in {explored.sample_id(place) for place in range(explored.COUNT)}
    lent_nothing = browser(lake)
    assert "Draw a sample" not in lent_nothing.get("/audit").text
    assert lent_nothing.post("/audit/draw", data={"token": lent_nothing.token}).status_code == 404


def test_a_verdict_is_asked_blindly_and_the_decision_shown_afterwards(lake, sample):
    ann, bob = browser(lake), browser(lake, "Bob")
    judge(bob, sample[0]["audit"], DROPPED, "corresponds")
    page = ann.get(f"/audit?clip={DROPPED}").text
    assert shown(page) == DROPPED
    assert not re.search(TELLS, page.split("<main")[1])
    assert "checked" not in page
    assert not re.search(TELLS, ann.get(f"/audit?done={DROPPED}").text.split("<main")[1]), "not judged yet"
    answer = judge(ann, sample[0]["audit"], DROPPED, "does_not")
    assert answer.headers["location"] == f"/audit?audit={sample[0]['audit']}&done={DROPPED}"
    outcome = ann.get(answer.headers["location"]).text.split('class="outcome"')[1]
    for said in ("You said no", "dropped", "low correspondence", "z = 0.1 is below 1.645", "2 reviewers"):
        assert said in outcome
    row = verdicts(lake)[-1]
    assert (row["sample_id"], row["release"], row["verdict"]) == (DROPPED, explored.RELEASE, "does_not")
    assert (row["reviewer"], row["stratum"]) == ("Ann", "dropped / low_correspondence / flag 0")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", row["created_at"])


def test_a_recycled_clip_is_heard_and_reported_as_what_was_left_of_it(lake, sample):
    recycled, ann = explored.sample_id(explored.RECYCLED), browser(lake)
    page = ann.get(f"/audit?clip={recycled}").text
    assert not re.search(TELLS, page.split("<main")[1])
    video, sound = (re.search(f"<{name} [^>]*>", page)[0] for name in ("video", "audio"))
    assert " muted " in video
    assert f'data-start="{explored.RESIDUAL_START_S}"' in sound
    assert "after separation" in page
    answer = ann.get(re.search(r'src="([^"]+)"', sound)[1])
    assert answer.headers["content-type"] == "audio/flac"
    assert answer.content == b"fLaC" + explored.content(explored.RECYCLED)
    judge(ann, sample[0]["audit"], recycled)
    outcome = ann.get(f"/audit?done={recycled}").text.split('class="outcome"')[1]
    assert "z 4.25 after separation" in outcome
    for page in (ann.get(f"/audit?clip={DROPPED}").text, ann.get(f"/clips/{recycled}").text):
        assert "<audio" not in page
        assert " muted" not in page
    assert ann.get(f"/media/{DROPPED}.flac").status_code == 404


def test_a_recycled_clip_whose_residual_is_not_known_is_not_judged_by_its_mixture(lake, sample):
    import duckdb

    with duckdb.connect(str(Path(lake.full("releases")) / explored.RELEASE / "winnow.duckdb")) as con:
        con.execute("alter table ops.fct_clip_files drop column residual_tar")
    page = browser(lake).get(f"/audit?clip={explored.sample_id(explored.RECYCLED)}").text
    assert "not in the lake any more" in page


def test_every_drawn_clip_is_asked_once_and_then_it_ends_with_a_summary(lake, sample):
    ann, seen = browser(lake), []
    while 'name="sample_id"' in (page := ann.get("/audit").text):
        seen.append(shown(page))
        judge(ann, sample[0]["audit"], seen[-1], ("corresponds", "unsure")[len(seen) % 2])
    assert sorted(seen) == sorted(row["sample_id"] for row in sample)
    assert f"{len(sample)} of {len(sample)} judged by you" in page
    counts = re.findall(r'<td class="n">(\d+)</td>', page.split("<tbody>")[1])
    assert sum(map(int, counts)) == len(sample)


def test_a_verdict_can_be_corrected_and_both_stay(lake, sample):
    ann, audit = browser(lake), sample[0]["audit"]
    first = shown(ann.get("/audit").text)
    judge(ann, audit, first, "corresponds")
    assert f"clip={first}" in ann.get("/audit").text
    again = ann.get(f"/audit?audit={audit}&clip={first}").text
    assert re.search(r'value="corresponds" required data-key="1" checked', again)
    judge(ann, audit, first, "does_not")
    assert [row["verdict"] for row in verdicts(lake)] == ["corresponds", "does_not"]
    assert f"1 of {len(sample)} judged by you" in ann.get("/audit").text


def test_two_samples_of_one_release_share_verdicts_and_the_unfinished_one_comes_first(lake, sample):
    small = draw(lake, by=("rule",), sizes={"kept": 1}, size=1)
    ann = browser(lake)
    for row in small:
        judge(ann, small[0]["audit"], row["sample_id"])
    page = ann.get("/audit").text
    assert f'name="audit" value="{sample[0]["audit"]}"' in page
    assert f"{len(small)} of {len(sample)} judged by you" in page
    assert f"audit={small[0]['audit']}" in page
    assert "judged every clip" in ann.get(f"/audit?audit={small[0]['audit']}").text


def test_an_earlier_release_is_audited_with_its_own_decisions_and_files(lake, sample):
    folder = Path(lake.full("releases"))
    newer = "ba9876543210"
    shutil.copytree(folder / explored.RELEASE, folder / newer)
    import duckdb

    with duckdb.connect(str(folder / newer / "winnow.duckdb")) as con:
        con.execute("delete from fct_clips")
    lake.write("releases/current", f"{newer}\n".encode())
    ann = browser(lake)
    page = ann.get(f"/audit?clip={DROPPED}").text
    source = re.search(r'src="(/media/[^"]+)"', page)[1]
    assert source.endswith(f"?release={explored.RELEASE}")
    assert ann.get(source).content == explored.content(explored.DROPPED)
    assert ann.get(source.partition("?")[0]).status_code == 404
    judge(ann, sample[0]["audit"], DROPPED)
    assert "low correspondence" in ann.get(f"/audit?done={DROPPED}").text
    shutil.rmtree(folder / explored.RELEASE)
    assert "No sample is drawn yet" in browser(lake).get("/audit").text


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"token": "0" * 64}, 403),
        ({"sample_id": "f" * 20}, 404),
        ({"sample_id": explored.sample_id(explored.GONE)}, 404),
        ({"audit": "f" * 12}, 404),
        ({"audit": "../x"}, 422),
        ({"sample_id": "../../../../etc/passwd"}, 422),
        ({"verdict": "maybe"}, 422),
        ({"verdict": ""}, 422),
        ({"more": "1"}, 422),
        ({"person": "proposal:1f"}, 422),
        ({"person": ""}, 422),
    ],
)
def test_a_bad_form_stores_nothing(lake, sample, changes, status):
    ann = browser(lake)
    given = {"audit_id": sample[0]["audit"], "sample_id": DROPPED} | {
        {"audit": "audit_id"}.get(name, name): value for name, value in changes.items()
    }
    assert judge(ann, **given).status_code == status
    assert verdicts(lake) == []
    assert judge(ann, sample[0]["audit"], DROPPED).status_code == 303


def test_addresses_that_lead_nowhere_are_not_found(lake, sample):
    ann = browser(lake)
    gone = explored.sample_id(explored.GONE)
    for path in (f"/audit?clip={gone}", "/audit?audit=ffffffffffff", f"/audit?audit={sample[0]['audit']}&clip={gone}"):
        assert ann.get(path).status_code == 404
    for path in ("/audit?clip=x", "/audit?audit=..", f"/media/{DROPPED}.mp4?release=../x"):
        assert ann.get(path).status_code == 422
    assert "Not found" in ann.get("/audit?audit=ffffffffffff").text


def test_the_overview_counts_verdicts(lake, sample):
    ann = browser(lake)
    judge(ann, sample[0]["audit"], DROPPED)
    page = ann.get("/people").text
    assert re.search(rf'<section class="sheet task" id="audit">.*?<dd>{len(sample)}</dd>.*?<dd>1</dd>', page, re.DOTALL)
    assert re.search(r'<th scope="row">Ann</th><td class="n">0</td><td class="n">0</td><td class="n">1</td>', page)
