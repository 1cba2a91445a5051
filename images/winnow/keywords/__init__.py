"""Keyword lists: which of them a video's title and description speak of.

A list is a CSV file: a header, then one keyword a row, its words in one cell or in several. A keyword matches where its
words stand in the text one after the other. Source: ACAV100M's metadata filter (released code, `filtering`), whose five
lists `artist`, `gaming`, `animation`, `officialvideo` and `tutorial` are read as they are; small lists of Winnow's own
under the same names lie in this folder.

Where the released code differs from what it means to do, this follows what it means: keywords are split into words by
the same rule as the text (there `word_tokenize` takes "p!nk" apart in the text and not in the keyword, so it never
matches), and a stemmed list has its keywords stemmed too (there a keyword in the plural can never match). Words are
runs of letters, digits and inner apostrophes, in Unicode, so no model of sentences is needed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from winnow.core.errors import ConfigError
from winnow.core.lake import digest

#: Winnow's own lists.
FOLDER = Path(__file__).resolve().parent
MAX_LIST_BYTES = 16 << 20
STOP_LANGUAGES = ("en", "fr", "es", "pt", "de", "ru")
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_ADDRESS = re.compile(r"https?://\S+")
_NAME = re.compile(r"[a-z0-9_]+\Z")
_ASCII_LETTER = re.compile(r"[a-z]")
Keyword = tuple[str, ...]


def plain_text(*parts: str | None) -> str:
    """Title, description …: joined, in lower case, without addresses, on one line."""
    return " ".join(_ADDRESS.sub(" ", " ".join(part for part in parts if part)).lower().split())


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class KeywordList:
    """One list: its keywords by their first word, and what text and keywords go through before they are compared."""

    name: str
    by_first: Mapping[str, tuple[Keyword, ...]]
    prepare: Callable[[list[str]], list[str]]

    def first_match(self, text_words: list[str]) -> str | None:
        """The keyword that matches first in a text, or None."""
        found = self.prepare(text_words)
        for at, word in enumerate(found):
            for keyword in self.by_first.get(word, ()):
                if tuple(found[at : at + len(keyword)]) == keyword:
                    return " ".join(keyword)
        return None


def load(folder: Path, stemmed: Iterable[str] = ()) -> list[KeywordList]:
    """Every `*.csv` of a folder as a list of that name; ConfigError for one that cannot be read, or a name in `stemmed`
    that has no list."""
    lists = {path.stem: _keywords(path) for path in _files(folder)}
    if unknown := sorted(set(stemmed) - set(lists)):
        raise ConfigError(
            f"stemmed names {', '.join(unknown)}, and {folder} has no such list; it has {', '.join(sorted(lists))}"
        )
    return [_indexed(name, found, name in set(stemmed)) for name, found in sorted(lists.items())]


def lists_digest(folder: Path) -> str:
    """Digest of the lists of a folder: names and keywords, whatever their order and layout."""
    return digest({path.stem: sorted(set(map(" ".join, _keywords(path)))) for path in _files(folder)})


def _files(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise ConfigError(f"{folder} holds no keyword list: a folder of <name>.csv files is wanted")
    for path in paths:
        if not _NAME.match(path.stem):
            raise ConfigError(f"{path}: a list's name becomes a column, so a-z, 0-9 and _ only")
        if path.stat().st_size > MAX_LIST_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_LIST_BYTES >> 20} MiB: no keyword list is")
    return paths


def _keywords(path: Path) -> list[Keyword]:
    """The keywords of one file, in its order, each as its words; the header is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))[1:]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is not a CSV file in UTF-8: {error}") from error
    found = [tuple(words(" ".join(cell for cell in row if cell))) for row in rows]
    return [keyword for keyword in dict.fromkeys(found) if keyword]


def _indexed(name: str, keywords: list[Keyword], stemmed: bool) -> KeywordList:
    prepare = _stemming({word for keyword in keywords for word in keyword}) if stemmed else _unchanged
    by_first: dict[str, list[Keyword]] = {}
    for keyword in keywords:
        found = tuple(prepare(list(keyword)))
        if found and found not in by_first.setdefault(found[0], []):
            by_first[found[0]].append(found)
    return KeywordList(name, {first: tuple(found) for first, found in by_first.items()}, prepare)


def _unchanged(found: list[str]) -> list[str]:
    return found


def _stemming(keyword_words: set[str]) -> Callable[[list[str]], list[str]]:
    """Drops stop words and words without an ASCII letter, then takes Porter's stems: "tutorials for the Photoshop" is
    "tutori photoshop". A word that a keyword holds is never a stop word."""
    import snowballstemmer
    from stop_words import get_stop_words

    stem = lru_cache(1 << 16)(snowballstemmer.stemmer("porter").stemWord)
    stop = {word for language in STOP_LANGUAGES for word in get_stop_words(language)} - keyword_words

    def prepare(found: list[str]) -> list[str]:
        return [stem(word) for word in found if word not in stop and _ASCII_LETTER.search(word)]

    return prepare
