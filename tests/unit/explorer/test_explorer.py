"""What people answer in the explorer: what is asked, stored, corrected, and never lost."""

from __future__ import annotations

import html
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.unit import explored
from tests.unit.explored import HEARD, annotate, browser, labels, rate, ratings, shown
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.explorer.answers import Answers
from winnow.explorer.queue import Queue


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return explored.build(tmp_path)[0]


# -- rating ------------------------------------------------------------------------------------------------------------
def test_an_answer_is_stored_and_unsure_is_neither(lake):
    ann = browser(lake)
    first = shown(ann.get("/rate").text)
    assert rate(ann, first, "yes", "unsure").headers["location"] == f"/rate?done={first}"
    (row,) = ratings(lake)
    assert (row["sample_id"], row["rater_id"]) == (first, "Ann")
    assert (row["onscreen_present"], row["offscreen_present"]) == (True, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", row["created_at"])
    page = ann.get("/rate").text
    assert shown(page) != first
    assert "1 of 6 rated by you" in page


def test_every_clip_that_sounds_is_asked_once_and_then_it_ends(lake):
    ann, seen = browser(lake), []
    while 'name="sample_id"' in (page := ann.get("/rate").text):
        seen.append(shown(page))
        rate(ann, seen[-1])
    silent = explored.sample_id(explored.SILENT)
    assert sorted(seen) == sorted(set(HEARD) - {silent})
    assert "rated every clip" in page


def test_the_last_answer_can_be_corrected_and_the_later_one_counts(lake):
    ann = browser(lake)
    first = shown(ann.get("/rate").text)
    rate(ann, first, "yes", "no")
    assert f"/rate?clip={first}" in ann.get("/rate").text
    again = ann.get(f"/rate?clip={first}").text
    assert shown(again) == first
    assert re.findall(r'name="(\w+)" value="(\w+)" required data-key="\d" checked', again) == [
        ("onscreen", "yes"),
        ("offscreen", "no"),
    ]
    rate(ann, first, "no", "yes")
    assert len(ratings(lake)) == 2
    assert ratings(lake)[1]["onscreen_present"] is False
    assert "1 of 6 rated by you" in ann.get("/rate").text


@pytest.mark.parametrize("page", ["rate", "annotate", "audit"])
def test_a_clip_is_left_for_later_and_comes_again_when_nothing_else_is_left(lake, page):
    explored.draw(lake)
    ann, seen, path = browser(lake), [], f"/{page}"
    for _ in range(2 * explored.COUNT):
        text = ann.get(path).text
        if shown(text) in seen:
            break
        seen.append(shown(text))
        path = html.unescape(re.search(r'id="skip" href="([^"]+)"', text)[1])
    asked = {"rate": len(HEARD) - 1, "annotate": 4, "audit": len(HEARD) - 1}[page]  # one has no sound
    assert len(seen) == asked
    assert shown(text) == seen[0]
    assert ann.get(f"/{page}?skip=x").status_code == 422


def test_a_page_of_ratings_shows_nothing_measured_and_nobody_elses_answer(lake):
    ann, bob = browser(lake), browser(lake, "Bob")
    first = shown(ann.get("/rate").text)
    rate(ann, first, "yes", "yes")
    page = bob.get(f"/rate?clip={first}").text
    assert "checked" not in page
    assert not re.search(r"low_correspondence|\bz\b|kept|dropped|dog barking|playing violin", page)


def test_a_clip_that_others_began_comes_first(lake):
    ann, bob = browser(lake), browser(lake, "Bob")
    begun = [explored.sample_id(0), explored.sample_id(6)]
    for sample_id in begun:
        rate(ann, sample_id)
    asked = []
    for _ in range(2):
        asked.append(shown(bob.get("/rate").text))
        rate(bob, asked[-1])
    assert sorted(asked) == sorted(begun)
    assert shown(bob.get("/rate").text) not in begun


def test_the_order_is_a_persons_own_and_the_same_every_time():
    queue = Queue([f"{i:020x}" for i in range(200)])
    assert queue.order("Ann") == Queue(queue.ids[::-1]).order("Ann")
    assert queue.order("Ann") != queue.order("Bob")
    assert queue.next("Ann", {}, {}, 2) != queue.next("Bob", {}, {}, 2)
    enough = dict.fromkeys(queue.ids, 2)
    enough[queue.ids[7]] = 3
    assert queue.next("Ann", set(queue.ids[:7]), enough, 2) in queue.ids[8:]
    assert queue.next("Ann", queue.ids, enough, 2) is None
    assert queue.next("Ann", {}, {"f" * 20: 1}, 2) == queue.order("Ann")[0]


def test_two_people_at_once_lose_nothing(lake):
    people = [browser(lake, name) for name in ("Ann", "Bob", "Cy")]
    silent = explored.sample_id(explored.SILENT)
    jobs = [(person, clip) for clip in HEARD if clip != silent for person in people]
    with ThreadPoolExecutor(6) as pool:
        assert {answer.status_code for answer in pool.map(lambda job: rate(*job), jobs)} == {303}
    assert sorted((row["rater_id"], row["sample_id"]) for row in ratings(lake)) == sorted(
        (person.person, clip) for person, clip in jobs
    )
    assert "6 of 6 rated by you · 6 by 2 or more" in people[0].get(f"/rate?clip={HEARD[0]}").text


def test_every_file_of_answers_is_read_once_and_others_files_are_seen(lake, monkeypatch):
    read = []
    given = Lake.read
    monkeypatch.setattr(Lake, "read", lambda self, key: (read.append(key), given(self, key))[1])
    answers = Answers(lake, "rating", "rater_id")
    for i in range(3):
        answers.add({"sample_id": f"{i:020x}", "rater_id": "Ann", "onscreen_present": True, "offscreen_present": None})
    elsewhere = [
        {"sample_id": f"{i:020x}", "rater_id": "Bob", "onscreen_present": False, "created_at": None} for i in range(5)
    ]
    for row in elsewhere:
        corpus_table.add(lake, "rating", [row], provenance={})
    answers.refresh()
    answers.refresh()
    assert answers.people() == {"Ann": 3, "Bob": 5}
    files = [key for key in read if key.endswith(".parquet")]
    assert len(files) == len(set(files)) == 8
    fresh = Answers(lake, "rating", "rater_id")
    monkeypatch.setattr("winnow.explorer.answers.MANY", 2)
    fresh.refresh()
    assert fresh.people() == answers.people()
    assert fresh.last_of("Ann") == answers.last_of("Ann")


def test_a_clock_that_goes_back_does_not_undo_a_correction(lake):
    answers = Answers(lake, "rating", "rater_id")
    row = {"sample_id": "0" * 20, "rater_id": "Ann", "onscreen_present": True, "offscreen_present": True}
    corpus_table.add(lake, "rating", [{**row, "created_at": "2999-01-01T00:00:00.000000Z"}], provenance={})
    answers.refresh()
    answers.add({**row, "onscreen_present": False})
    assert answers.of_clip("0" * 20)["Ann"]["onscreen_present"] is False
    assert ratings(lake)[-1]["created_at"] == "2999-01-01T00:00:00.000001Z"


def test_names_may_be_of_any_script(lake):
    zoe = browser(lake, "Zoë Müller-李")
    assert "<b>Zoë Müller-李</b>" in zoe.get("/rate").text
    rate(zoe, HEARD[0])
    assert ratings(lake)[0]["rater_id"] == "Zoë Müller-李"


def test_pages_may_be_asked_for_while_answers_come_in(lake):
    ann = browser(lake)
    rate(ann, HEARD[0])
    paths = ["/", "/rate", "/annotate", "/clips", f"/clips/{HEARD[0]}", f"/media/{HEARD[0]}.mp4"]
    jobs = [(lambda path=path: ann.get(path)) for path in paths for _ in range(4)]
    jobs += [(lambda i=i: rate(ann, HEARD[0], offscreen=("yes", "no")[i % 2])) for i in range(12)]
    with ThreadPoolExecutor(8) as pool:
        assert {answer.status_code for answer in pool.map(lambda job: job(), jobs)} == {200, 303}
    assert len(ratings(lake)) == 13


# -- annotating --------------------------------------------------------------------------------------------------------
def test_ten_seconds_are_stored_and_begin_as_proposed(lake):
    proposal = {"sample_id": HEARD[0], "family": "avel", "category": "playing violin", "annotator_id": "proposal:1f"}
    corpus_table.add(lake, "segment_label", [{**proposal, "labels": [0, 1, 1, 0, 0, 0, 0, 0, 0, 1]}], provenance={})
    ann = browser(lake)
    page = ann.get(f"/annotate?clip={HEARD[0]}").text
    assert re.findall(r'value="(\d)" checked', page) == ["1", "2", "9"]
    assert "<option selected>playing violin</option>" in page
    assert "as Winnow proposes" in page
    assert annotate(ann, HEARD[0], [0, 9]).status_code == 303
    row = labels(lake)[-1]
    assert row["labels"] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert (row["annotator_id"], row["category"], row["family"]) == ("Ann", "dog barking", "avel")
    assert re.findall(r'value="(\d)" checked', ann.get(f"/annotate?clip={HEARD[0]}").text) == ["0", "9"]
    assert "1 annotated by you · 1 of 4 done" in ann.get("/annotate").text


def test_no_box_says_nowhere_and_another_category_takes_the_first_back(lake):
    ann = browser(lake)
    annotate(ann, HEARD[0], [3])
    annotate(ann, HEARD[0], [], "playing violin")
    stored = [(row["category"], sum(row["labels"])) for row in labels(lake)]
    assert stored == [("dog barking", 1), ("dog barking", 0), ("playing violin", 0)]
    assert "<option selected>playing violin</option>" in ann.get(f"/annotate?clip={HEARD[0]}").text


def test_where_there_are_many_categories_their_names_are_typed(lake, monkeypatch):
    ann = browser(lake)
    assert '<select id="category"' in ann.get("/annotate").text
    monkeypatch.setattr("winnow.explorer.annotate.MOST", 1)
    page = ann.get(f"/annotate?clip={HEARD[0]}").text
    assert '<select id="category"' not in page
    assert page.partition("<datalist")[2].partition("</datalist>")[0].count("<option") == 1
    assert re.search(r'list="categories" value="(dog barking|playing violin)"', page)
    assert annotate(ann, HEARD[0], [1], "no such thing").status_code == 422
    assert annotate(ann, HEARD[0], [1], "playing violin").status_code in (200, 303)


def test_only_kept_clips_of_ten_seconds_are_annotated(lake):
    ann, seen = browser(lake), set()
    while 'name="sample_id"' in (page := ann.get("/annotate").text):
        seen.add(shown(page))
        annotate(ann, shown(page), [1])
    assert seen == {explored.sample_id(place) for place in (0, 5, 6, 7)}
    assert annotate(ann, explored.sample_id(explored.DROPPED), [1]).status_code == 404
    assert annotate(ann, explored.sample_id(explored.SHORT), [1]).status_code == 404
