"""Addresses: checked, and one form for all that lead to one video."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from winnow.core.sample import SampleFailed
from winnow.sources import urls


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "http://youtube.com/watch?feature=x&v=dQw4w9WgXcQ&t=3",
        "https://m.youtube.com/watch?v=dQw4w9WgXcQ#t=1",
        "https://music.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://youtu.be/dQw4w9WgXcQ?t=9",
        "https://www.youtube.com/embed/dQw4w9WgXcQ",
        "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ",
        "https://www.youtube.com/shorts/dQw4w9WgXcQ",
        "https://www.youtube.com/live/dQw4w9WgXcQ?x",
        "https://WWW.YouTube.COM/v/dQw4w9WgXcQ",
    ],
)
def test_every_form_of_a_youtube_address_is_one_video(url: str) -> None:
    assert urls.canonical(url) == "youtube:dQw4w9WgXcQ"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("HTTP://Host.Example:80", "http://host.example/"),
        ("https://host.example:443/A?b=C#d", "https://host.example/A?b=C"),
        ("http://host.example:8080/a", "http://host.example:8080/a"),
        ("https://host.example./a", "https://host.example/a"),
        ("http://[2001:DB8::1]/a", "http://[2001:db8::1]/a"),
        ("https://youtube.example/watch?v=dQw4w9WgXcQ", "https://youtube.example/watch?v=dQw4w9WgXcQ"),
        ("https://www.youtube.com/watch?v=short", "https://www.youtube.com/watch?v=short"),
    ],
)
def test_other_addresses_are_canonical_but_not_rewritten(url: str, wanted: str) -> None:
    assert urls.canonical(url) == wanted


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["http://", "https://", "HTTP://", "ftp://", ""]),
    st.sampled_from(
        ["a.example", "A.example", "a.example:80", "a@b.example", "m.youtube.com", "youtu.be", "a.", "[::1]"]
    ),
    st.text("/abcv=?#&;%20@.\u00e9 \t", max_size=24),
)
@example("https://", "a.example", "/?" + "a&" * 1200)
@example("https://", "a.example", "/a#b")
@example("https://", "a.example", "/a?")
@example("https://", "youtu.be", "/a1b2c3d4e5f")
def test_plain_addresses_are_taken_as_they_stand_and_as_taking_apart_has_them(
    scheme: str, host: str, rest: str
) -> None:
    def said() -> object:
        try:
            return urls.check(url), urls.canonical(urls.check(url))
        except SampleFailed as failure:
            return failure.reason, failure.detail

    url = scheme + host + rest
    quick = said()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urls, "_PLAIN", re.compile("(?!)"))
        assert said() == quick


def test_an_address_without_a_scheme_is_https() -> None:
    assert urls.check("www.videos.example/a") == "https://www.videos.example/a"
    assert urls.check("youtu.be/dQw4w9WgXcQ") == "https://youtu.be/dQw4w9WgXcQ"
    with pytest.raises(SampleFailed):
        urls.check("videos/a.mp4")
