"""The report's sections on people's verdicts and on what entered and left: figures, what is missing, and queries."""

from __future__ import annotations

import html
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import yaml

from winnow.estimates.precision import agreement, estimates, wilson
from winnow.report import audit, changes
from winnow.report.render import environment, percent

MODELS = Path(__file__).resolve().parents[3] / "dbt" / "models"
RELEASE, BASE = "0123456789ab", "aaaaaaaaaaaa"
YES, NO, HMM = "corresponds", "does_not", "unsure"


def fill(con: duckdb.DuckDBPyConnection, path: str, rows: list[dict]) -> None:
    """A published table with the columns of its contract."""
    (model,) = yaml.safe_load((MODELS / f"{path}.yml").read_text())["models"]
    columns = {c["name"]: c["data_type"] for c in model["columns"]}
    name = f"{'ops.' if path.startswith('ops') else ''}{model['name']}"
    con.execute(f"create table {name} ({', '.join(f'{n} {t}' for n, t in columns.items())})")
    for row in rows:
        given = {n: v for n, v in row.items() if n in columns}
        con.execute(
            f"insert into {name} ({', '.join(given)}) values ({', '.join('?' * len(given))})", [*given.values()]
        )


def clips(strata: dict[str, tuple[int, list[str | None]]], name: str = "a1", release: str = BASE) -> list[dict]:
    """Rows of fct_audit: stratum → population and verdicts; `torn` is a dispute."""
    out = []
    for stratum, (population, said) in strata.items():
        status, _, rule = stratum.partition(" / ")
        for i, verdict in enumerate(said):
            torn = verdict == "torn"
            out.append(
                {
                    "audit": name,
                    "release": release,
                    "sample_id": f"{len(out):020x}",
                    "stratum": stratum,
                    "status": status,
                    "rule": rule.split(" / ")[0] if status == "dropped" else "",
                    "position": i,
                    "population": population,
                    "verdict": HMM if torn else verdict,
                    "is_disputed": torn,
                    "status_now": status,
                    "corresponds": 1,
                    "does_not": 1,
                    "unsure": 0,
                }
            )
    return out


@pytest.fixture
def con():
    with duckdb.connect() as made:
        made.execute("create schema ops")
        made.execute("set search_path = 'main,ops'")
        yield made


def audited(con: duckdb.DuckDBPyConnection, rows: list[dict], answers: list[dict] | None = None) -> str:
    fill(con, "marts/fct_audit", rows)
    table = pa.Table.from_pylist(rows or clips({"kept": (1, [None])})).slice(0, len(rows))
    fill(con, "reports/audit/rpt_audit", estimates(table).to_pylist())
    pairs = agreement(pa.Table.from_pylist(answers)).to_pylist() if answers else []
    fill(con, "reports/audit/rpt_audit_agreement", pairs)
    template = environment().get_template("audit.html.j2")
    return template.render(audits=audit.collect(con, BASE), release=RELEASE, base=BASE)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def answers_its_queries(con: duckdb.DuckDBPyConnection, page: str) -> int:
    queries = re.findall(rf'<code class="query">winnow sql --release {RELEASE} "(.*?)"</code>', page)
    for query in queries:
        assert con.execute(html.unescape(query)).fetchall(), query
    return len(queries)


# -- the audit ---------------------------------------------------------------------------------------------------------
def test_without_a_sample_the_page_says_what_is_not_known_and_how_to_know_it(con):
    page = audited(con, [])
    assert "Nobody has looked at a sample" in page
    assert "is not known" in page
    assert "winnow audit --size" in page
    assert "%" not in text_of(page)
    assert audit.collect(duckdb.connect(), BASE) == [], "an old snapshot has no such tables"


def test_shares_stand_with_their_intervals_and_counts(con):
    rows = clips(
        {"kept / band 1, z 2.00 to 3.00": (60, [YES] * 18 + [NO, None]), "dropped / silent": (30, [NO] * 4 + [YES])}
    )
    page = audited(con, rows)
    text = text_of(page)
    low, high = wilson(18, 19)
    assert f"Kept and corresponding {percent(18 / 19, 1)} {percent(low, 1)} to {percent(high, 1)}; 19 verdicts" in text
    low, high = wilson(1, 5)
    assert f"Dropped wrongly 20.0 % {percent(low, 1)} to {percent(high, 1)}; 5 verdicts" in text
    assert "24 of 25 clips judged by people who did not see what was decided. 1 wait for a verdict." in text
    assert "of the release before," in text
    assert "one reviewer only" in text
    assert "silent" in text
    bars = re.findall(r'left:([\d.]+)%;width:([\d.]+)%"></i><b class="dropped" style="left:([\d.]+)%', page)
    assert all(float(left) < float(at) < float(left) + float(width) for left, width, at in bars)
    assert len(bars) == 2
    assert answers_its_queries(con, page) == 1


def test_what_is_missing_unsure_or_disputed_is_said(con):
    rows = clips({"kept / a": (60, [YES, YES, "torn"]), "kept / b": (40, [None, None])})
    said = [
        {"audit": "a1", "sample_id": row["sample_id"], "reviewer": who, "verdict": YES if who == "x" or i else NO}
        for i, row in enumerate(rows[:3])
        for who in "xy"
    ]
    page = audited(con, rows, said)
    text = text_of(page)
    assert "Of what was kept, 40.0 % lies in strata without a verdict" in text
    assert "With every unsure clip counted as not corresponding, 66.7 % of what was kept correspond." in text
    assert "no dropped clip was drawn" in text
    assert "no verdict" in text
    assert "Clips about which reviewers disagree" in text
    assert "Cohen's kappa" in text
    assert rows[2]["sample_id"] in text
    assert answers_its_queries(con, page) == 3


def test_the_release_before_comes_first_and_others_are_named(con):
    rows = clips({"kept": (5, [YES] * 5)}, "old", "bbbbbbbbbbbb") + clips({"kept": (5, [NO])}, "new", BASE)
    page = audited(con, rows)
    assert page.index(">new<") < page.index(">old<")
    assert "of release <span" in page


# -- what changed ------------------------------------------------------------------------------------------------------
RULES = [
    {
        "rule": "low_correspondence",
        "point": "release",
        "change": "changed",
        "compared_before": "z < 1.645 sigma",
        "compared_now": "z < 2.0 sigma",
    },
    {"rule": "fresh", "point": "release", "change": "added", "compared_now": "loudness_lufs < -60.0 LUFS"},
]
MOVED = [
    *(
        {
            "sample_id": f"{i:020x}",
            "change": "left",
            "status_before": "kept",
            "status_now": "dropped",
            "rule_now": "low_correspondence",
            "detail_now": f"z 1.{i} < 2.0 sigma",
            "label": "dog <b>",
        }
        for i in range(5)
    ),
    {"sample_id": "e" * 20, "change": "entered", "status_before": "absent", "status_now": "kept", "label": "bell"},
    {
        "sample_id": "f" * 20,
        "change": "entered",
        "status_before": "dropped",
        "status_now": "kept",
        "rule_before": "silent",
        "detail_before": "silence_ratio 0.95 > 0.9 ratio",
        "label": "bell",
    },
    {"sample_id": "d" * 20, "change": "new", "status_before": "absent", "status_now": "dropped", "rule_now": "silent"},
]


def changed(con: duckdb.DuckDBPyConnection, rules: list[dict], moved: list[dict], base: str | None = BASE) -> str:
    fill(con, "ops/rpt_rule_changes", rules)
    fill(con, "ops/rpt_changes", moved)
    counts = dict.fromkeys(("entered", "left", "moved", "new", "gone", "reason"), 0)
    for row in moved:
        counts[row["change"]] += 1

    class Facts(dict):
        queries = {"changes": "select change from ops.rpt_changes"}

    return (
        environment()
        .get_template("changes.html.j2")
        .render(
            changes=counts,
            moved=changes.collect(con),
            base=base,
            release=RELEASE,
            policy="hash",
            facts=Facts(
                changes=[
                    {
                        "change": r["change"],
                        "status_before": r["status_before"],
                        "status_now": r["status_now"],
                        "rule": r.get("rule_now") or "",
                        "clips": 1,
                    }
                    for r in moved
                ]
            ),
        )
    )


def test_what_left_names_the_rule_how_many_and_examples(con):
    page = changed(con, RULES, MOVED)
    text = text_of(page)
    assert "2 clips entered the dataset, 5 left it, and 0 changed split. 2 rules changed." in text
    assert "low correspondence z < 1.645 sigma z < 2.0 sigma" in text
    assert "fresh was not there loudness_lufs < -60.0 LUFS" in text
    left = text[text.index("Left By what keeps") :]
    assert f"low correspondence 5 {'0' * 20} dog <b> · z 1.0 < 2.0 sigma" in left
    assert "and 2 more" in left
    entered = text[text.index("Entered By what kept") : text.index("Left By what keeps")]
    assert f"first seen now 1 {'e' * 20} bell" in entered
    assert f"silent 1 {'f' * 20} bell · silence_ratio 0.95 > 0.9 ratio" in entered
    assert "dog <b>" not in page
    assert answers_its_queries(con, page) == 3


def test_nothing_changed_and_the_first_release_are_said_in_words(con):
    page = text_of(changed(con, [], []))
    assert "0 clips entered the dataset, 0 left it" in page
    assert "No rule changed." in page
    assert page.count("None.") == 2
    with duckdb.connect() as other:
        assert changes.collect(other).left == []
    for table in ("rpt_changes", "rpt_rule_changes"):
        con.execute(f"drop table ops.{table}")
    assert "This is the first release" in changed(con, [], [], base=None)
