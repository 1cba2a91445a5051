"""Questions to a published release: `python examples/look_at_a_release.py LAKE`."""

from __future__ import annotations

import sys

import winnow


def main(root: str) -> None:
    lake = winnow.open_lake(root)
    print(f"releases: {', '.join(winnow.releases(lake))}; tables: {', '.join(winnow.tables(lake))}")
    clips = winnow.read_table(lake, "fct_clips", "pandas")
    print(clips.groupby(["status", "split"], dropna=False).size())
    with winnow.open_release(lake) as release:  # a DuckDB connection that reads the release and nothing else
        print(release.sql("select first_failed_rule, count(*) as clips from fct_clips group by all order by all"))


if __name__ == "__main__":
    main(*sys.argv[1:])
