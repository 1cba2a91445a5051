"""Facets: what clips are filtered by: each a column of fct_clips, or what stands for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: What stands in an address for a value that is not there.
NONE = "~"
FAMILIES = {"acav": "acav_clips", "audioscope": "audioscope_clips", "avel": "avel_samples", "avset": "avset_clips"}
CANDIDATES = " left join fct_candidates k on k.batch = c.batch and k.candidate_id = c.candidate_id"
_COPIES = "select unnest([first_id, second_id]) from fct_duplicates"
_NUMBERS = ("DOUBLE", "FLOAT", "BIGINT", "INTEGER", "HUGEINT", "UBIGINT", "SMALLINT", "TINYINT", "DECIMAL")


def is_number(kind: str | None) -> bool:
    """Whether a column's type is a number's."""
    return kind is not None and kind.startswith(_NUMBERS)


def encoded(value: str | None) -> str:
    """A value in an address."""
    return NONE if value is None else NONE + value if value.startswith(NONE) else value


def value_of(text: str) -> str | None:
    """The value that an address names."""
    return None if text == NONE else text.removeprefix(NONE)


@dataclass(frozen=True)
class Facet:
    """A column, or what stands for one: `sql` gives a clip's value; `needs`: tables without which it is not there;
    `is_few`: counted ahead; `of_list`: of the list's row; `many_a_clip`: a clip has several, joined by commas."""

    title: str
    sql: str
    needs: tuple[str, ...] = ()
    is_few: bool = True
    of_list: bool = False
    many_a_clip: bool = False

    def holds(self, text: str, tables: frozenset[str]) -> tuple[str, tuple[object, ...]]:
        """The condition that a clip has the value that an address names."""
        value = value_of(text)
        if self.many_a_clip:
            there = {name: table for name, table in FAMILIES.items() if table in tables}
            if value is None:
                return " and ".join(f"c.sample_id not in ({_ids(table)})" for table in there.values()) or "true", ()
            return (f"c.sample_id in ({_ids(there[value])})" if value in there else "false"), ()
        return (f"{self.sql} is null", ()) if value is None else (f"{self.sql} = ?", (value,))

    def column(self, tables: frozenset[str]) -> str:
        """A clip's value, or its values joined by commas."""
        if not self.many_a_clip:
            return self.sql
        parts = [f"if(c.sample_id in ({_ids(t)}), '{name}', null)" for name, t in FAMILIES.items() if t in tables]
        return f"nullif(concat_ws(',', {', '.join(parts)}), '')" if parts else "null"

    def is_there(self, tables: frozenset[str]) -> bool:
        """Whether a release has it."""
        return set(self.needs) <= tables and (not self.many_a_clip or bool(set(FAMILIES.values()) & tables))


def _ids(table: str) -> str:
    return f"select sample_id from {table} where sample_id is not null"


FACETS: Mapping[str, Facet] = {
    "status": Facet("Decision", "c.status"),
    "rule": Facet("First failed rule", "c.first_failed_rule"),
    "split": Facet("Split", "c.split"),
    "batch": Facet("Batch", "c.batch"),
    "family": Facet("Dataset family", "", many_a_clip=True),
    "flag": Facet("Flag", "c.flag::varchar"),
    "list": Facet("Source", "k.list_path", ("fct_candidates",), of_list=True),
    "licence": Facet("Licence", "c.license"),
    "copies": Facet("Near-duplicates", f"if(c.sample_id in ({_COPIES}), 'has some', 'none')", ("fct_duplicates",)),
    "label": Facet("Label", "c.label", is_few=False),
    "heard": Facet("Heard most", "c.tag_mids[1]", is_few=False),
}
