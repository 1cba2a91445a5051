"""Reads one list: its settings, its reader, what its columns are, and every row as the columns of `ingest`.

A reader of one dataset knows what its columns mean. In a general list (delimited text, JSON, Parquet) the first rows
are held back until their content has said it, so memory is for these and a block, whatever the size of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from winnow.core.sample import Reason, SampleFailed
from winnow.sources.candidate import candidate
from winnow.sources.columns import Header
from winnow.sources.list_settings import ListSettings
from winnow.sources.plan import plan
from winnow.sources.profile import Plan, Profile
from winnow.sources.row import ListRefused, Row
from winnow.sources.unfold import unfold

#: Rows whose content tells what the columns are.
SAMPLE_ROWS = 200
#: Plans that are kept, one for each set of columns that rows have.
MAX_PLANS = 1024
#: Longest name of a column in a report, characters.
MAX_SHOWN = 80

Read = tuple[int, dict[str, object], SampleFailed | None]


#: Names of columns: in a report, `list` is the list's own name.
Names = list[str]


@dataclass
class ListReport:
    """What came of a list: `columns` role → column, `inferred` column → what it was taken for by its content, `extra`
    columns kept as they are; `listed` rows of the list, `rows` candidates of them and rows with a reason, `joined` into
    another row, `bad` of which nothing could be read."""

    list: str
    format: str
    columns: dict[str, str] = field(default_factory=dict)
    inferred: dict[str, str] = field(default_factory=dict)
    extra: Names = field(default_factory=Names)
    listed: int = 0
    rows: int = 0
    joined: int = 0
    bad: int = 0
    refused: str | None = None

    def as_dict(self) -> dict[str, object]:
        """The report without what is empty, names cut where somebody made them long."""
        found = {key: value for key, value in vars(self).items() if value not in (None, {}, [])}
        found["columns"] = {role: column[:MAX_SHOWN] for role, column in self.columns.items()}
        if self.inferred:
            found["inferred"] = {column[:MAX_SHOWN]: what for column, what in self.inferred.items()}
        if self.extra:
            found["extra"] = [column[:MAX_SHOWN] for column in self.extra]
        return found


def read_known(rows: Iterator[Row], report: ListReport) -> Iterator[Read]:
    """Rows of one dataset's reader, whose columns' names say all."""
    header, columns, captions = Header(()), None, []
    for row in rows:
        report.listed += 1
        if row.values is None:
            yield row.number, {}, SampleFailed(Reason.bad_row, row.problem or "unreadable")
            continue
        if row.values.keys() != columns:
            columns = row.values.keys()
            header = Header(columns)
            captions = header.captions
            _report(report, header)
        yield row.number, *_said(candidate(row.values, header), row.values, captions)


def _said(
    made: tuple[dict[str, object], SampleFailed | None], values: Mapping[str, object], captions: list[str]
) -> tuple[dict[str, object], SampleFailed | None]:
    """A candidate with its captions, by which rows of one clip are told apart."""
    if captions:
        made[0]["captions"] = tuple(values.get(name) for name in captions)
    return made


def _report(report: ListReport, header: Header) -> None:
    address = {"video": header.fields.get("url") or header.youtube}
    report.columns |= {r.removesuffix("_s"): c for r, c in {**address, **header.fields}.items() if c and r != "url"}
    report.extra += [name for name in header.extra if name not in report.extra and name not in report.columns.values()]


def read_general(
    rows: Iterator[Row], report: ListReport, settings: ListSettings, beside: Mapping[str, str]
) -> Iterator[Read]:
    """Rows of a list of any columns, numbered through its clips. ListRefused before the first row where its columns
    were not understood."""
    clips = _clips(rows, report)
    sample = list(islice(clips, SAMPLE_ROWS))
    known = [row.values for row in sample if row.values is not None]
    if not known:
        yield from _unreadable(chain(sample, clips))
        return
    plans = _Plans(known, settings, beside)
    report.columns, report.inferred, report.extra = plans.whole.used(), plans.whole.inferred, plans.whole.extra
    columns: KeysView[str] | None = None
    made: Plan | SampleFailed = plans.whole
    captions: list[str] = []
    for number, row in enumerate(chain(sample, clips)):
        if row.values is None:
            yield number, {}, SampleFailed(Reason.bad_row, row.problem or "unreadable")
        else:
            if row.values.keys() != columns:
                made = plans.of(row.values)
                columns = row.values.keys() if isinstance(made, Plan) else None
                captions = made.captions if isinstance(made, Plan) else []
            if isinstance(made, SampleFailed):
                yield number, {}, made
            else:
                yield number, *_said(candidate(row.values, made), row.values, captions)


def _unreadable(rows: Iterator[Row]) -> Iterator[Read]:
    for number, row in enumerate(rows):
        yield number, {}, SampleFailed(Reason.bad_row, row.problem or "unreadable")


def _clips(rows: Iterator[Row], report: ListReport) -> Iterator[Row]:
    """Rows, one a clip; `listed` counts them as they stand in the list."""
    for row in rows:
        report.listed += 1
        if row.values is None:
            yield row
            continue
        if not _may_nest(row.values.values()):
            yield row
            continue
        for values in unfold(row.values):
            yield Row(row.number, values)


def _may_nest(values: Iterable[object]) -> bool:
    """Whether one of the values can hold several clips: most cannot, and there are many."""
    for value in values:
        if type(value) is str:
            if value and value[0] in "[(":
                return True
        elif isinstance(value, (list, tuple, dict)):
            return True
    return False


class _Plans:
    """The plan of the list, and those of rows that have other columns than the first ones."""

    def __init__(self, known: list[Mapping[str, object]], settings: ListSettings, beside: Mapping[str, str]) -> None:
        self._known, self._settings, self._beside = known, settings, beside
        self._names = list(dict.fromkeys(name for values in known for name in values))
        self._profiles = {name: Profile.of((v.get(name) for v in known), beside) for name in self._names}
        self.whole = plan(self._names, self._profiles, beside, settings, known)
        self._made: dict[tuple[str, ...], Plan | SampleFailed] = {tuple(self._names): self.whole}

    def of(self, values: Mapping[str, object]) -> Plan | SampleFailed:
        """The plan of a row with these columns, or why it has none."""
        names = tuple(values)
        if names in self._made:
            return self._made[names]
        profiles = {
            name: self._profiles.get(name) or Profile.of([value], self._beside) for name, value in values.items()
        }
        all_names = [*self._names, *(name for name in names if name not in self._profiles)]
        try:
            made: Plan | SampleFailed = plan(
                names, {**self._profiles, **profiles}, self._beside, self._settings, self._known, all_names
            )
        except ListRefused as refused:
            named = any(values.get(column) for column, _ in self.whole.addresses)
            reason = Reason.bad_row if named else Reason.missing_url
            made = SampleFailed(reason, str(refused) if named else "no address in this row: fill its url")
        if len(self._made) < MAX_PLANS and all(name in self._profiles for name in names):
            self._made[names] = made
        return made


def read_list(
    read: Callable[..., Iterator[Row]],
    general: bool,
    path: Path,
    report: ListReport,
    settings: ListSettings,
    beside: Mapping[str, str],
) -> Iterator[Read]:
    """(number, columns of `ingest`, why it is no candidate) of every clip of a list."""
    if not general:
        yield from read_known(read(path), report)
    else:
        takes = read.__code__.co_argcount > 1
        yield from read_general(read(path, settings) if takes else read(path), report, settings, beside)
