"""Screen: what a candidate's metadata alone says, measured before anything is fetched.

Nothing is refused here. Which schemes, durations and segments are worth a download is SQL's to decide, at the decision
point before `fetch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from winnow.sample import Outcome
from winnow.stage import Batch, Sample, Stage


class Screen(Stage):
    """Measures a candidate's address, times and title."""

    name, image, needs = "screen", "base", ("ingest",)
    schema = {
        "url_scheme": "string",
        "url_host": "string",
        "declared_duration_s": "double",
        "segment_s": "double",
        "title_chars": "int64",
        "has_times": "bool",
    }

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
        }
