"""What stands in the columns of a list, and a header that knows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from winnow.sources import shapes
from winnow.sources.columns import Header, time_role
from winnow.sources.urls import shown

#: A column is of a kind when this share of its filled cells is.
SHARE = 0.9
#: Media files beside the list, and addresses, are believed where half of the cells are: some files are always missing.
LOOSE = 0.5


@dataclass
class Profile:
    """What stands in a column: how many of its cells hold something, and how many of them are of each kind."""

    cells: list[object]
    addresses: dict[str, int] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Iterable[object], beside: Mapping[str, str]) -> Profile:
        """The profile of a column's values."""
        made = cls([value for value in values if value is not None and value != ""])
        for value in made.cells:
            if kind := shapes.address_kind(value, beside):
                made.addresses[kind] = made.addresses.get(kind, 0) + 1
            if kind := shapes.time_kind(value):
                made.times[kind] = made.times.get(kind, 0) + 1
        return made

    def is_time(self, *kinds: str) -> bool:
        """Whether its cells are times of these kinds."""
        return bool(self.cells) and sum(self.times.get(kind, 0) for kind in kinds) >= SHARE * len(self.cells)

    def kinds(self) -> frozenset[str]:
        """The kinds of addresses that its cells are; none where too few of them are one."""
        total = len(self.cells)
        loose = self.addresses.get(shapes.FILE, 0) + self.addresses.get(shapes.URL, 0)
        names = self.addresses.get(shapes.ID, 0) + self.addresses.get(shapes.CLIP, 0)
        if not total or (loose < LOOSE * total and loose + names < SHARE * total):
            return frozenset()
        return frozenset(self.addresses)

    def numbers(self) -> list[float]:
        """Its times in the column's own unit."""
        found = (shapes.seconds(shapes.text_of(cell)) for cell in self.cells)
        return [number for number in found if number is not None]


class Plan(Header):
    """A header that knows its content. `addresses`: columns that name the video, first the best, each with the kinds
    that its cells may be; `scale`: seconds in a column's unit; `length`, `span`: columns; `clip_s`: length of a clip of
    which only the start is known, s; `clip_scale`: seconds in the unit of clips' names; `address_times`: whether
    what an address says of a start and an end counts; `inferred`: what each column was taken for by its content, in
    words."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(names)
        self.names = list(names)
        self.addresses: list[tuple[str, frozenset[str]]] = []
        self.scale: dict[str, float] = {}
        self.length: str | None = None
        self.span: str | None = None
        self.clip_s: float | None = None
        self.clip_scale = 1.0
        self.address_times = False
        self.within_clip = False
        self.beside: Mapping[str, str] = {}
        self.inferred: dict[str, str] = {}

    @property
    def captions(self) -> list[str]:
        """Events within a clip are what a row says of it, too."""
        events = [n for n in self.extra if time_role(n)[0] in ("start", "end")] if self.within_clip else []
        return [*super().captions, *events]

    def used(self) -> dict[str, str]:
        """What was taken from which column: `video`, `start`, `end`, `length`, `span` and the other fields."""
        roles = {
            "video": ", ".join(column for column, _ in self.addresses),
            "start": self.fields.get("start_s"),
            "end": self.fields.get("end_s"),
            "length": self.length,
            "span": self.span,
        }
        rest = {f.removesuffix("_s"): c for f, c in self.fields.items() if f not in ("url", "start_s", "end_s")}
        return {role: column for role, column in {**roles, **rest}.items() if column}


def example(profile: Profile) -> str:
    """A value of a column, as a message shows it behind the column's name."""
    return f" ({shown(shapes.text_of(profile.cells[0])[:30])})" if profile.cells else ""
