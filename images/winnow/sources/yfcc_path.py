"""Paths of YFCC100M videos as the published clip lists write them, and where they are fetched.

`data/videos/mp4/827/f6b/827f6b53467db2d5218ed8247418c4c.mp4`: the two folders are the first three and the next three
characters of the hash. The hash has 32 hexadecimal digits as a rule; the README of the AudioScope lists shows one with
31 (google-research/sound-separation, datasets/audioscope-v2), so both lengths are read.
"""

from __future__ import annotations

import re

from winnow.sources.urls import shown

#: Where the path lies in public: the bucket of Multimedia Commons, the address that DiDeMo's published download script
#: (LisaAnne/LocalizingMoments) uses. WINNOW_FETCH_REWRITES maps it to a mirror.
URL_PREFIX = "https://multimedia-commons.s3-us-west-2.amazonaws.com/"
FOLDER = "data/videos/mp4/"
_PATH = re.compile(rf"{FOLDER}([0-9a-f]{{3}})/([0-9a-f]{{3}})/([0-9a-f]{{31,32}})\.mp4\Z")


def video_hash(path: str) -> str:
    """The hash in a path; ValueError, which says what is wrong, for a path of another layout."""
    found = _PATH.match(path)
    if not found:
        raise ValueError(f"{shown(path)} is no path {FOLDER}xxx/yyy/<31 or 32 hexadecimal digits>.mp4")
    first, second, name = found.groups()
    if (first, second) != (name[:3], name[3:6]):
        raise ValueError(f"{shown(path)}: its folders are not the hash's first characters, {name[:3]}/{name[3:6]}")
    return name


def path_of(hash_: str) -> str:
    """The path of a hash."""
    return f"{FOLDER}{hash_[:3]}/{hash_[3:6]}/{hash_}.mp4"
