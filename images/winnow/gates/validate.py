"""Great Expectations, kept to one function: a suite and a data frame in, results out.

The context is ephemeral: nothing is written to a project folder and nothing is sent anywhere. Frames, not SQL: GX's
SQL path fails on DuckDB, its pandas path does not. The import costs seconds, so it happens on the first frame, not
before.
"""

from __future__ import annotations

import copy
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from winnow.core.errors import ConfigError
from winnow.gates.quarantine import Quarantine
from winnow.gates.results import EXAMPLES, RuleResult, TableResult
from winnow.gates.suites import Rule, Suite

if TYPE_CHECKING:
    import pandas as pd


@lru_cache(maxsize=1)
def _frames() -> Any:
    """Where frames go in: one quiet ephemeral context per process, telemetry off before the import reads the
    environment. Nothing else is added to it: what a context stores it writes as YAML, and looks through every time."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    # altair, which GX imports, imports jsonschema; that compiles a grammar of URIs where this happens to be installed
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
        from great_expectations.expectations.expectation import Expectation

        patched: Any = Expectation
        patched.configuration = property(_Configurations(patched.configuration.fget))
        context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("frames")
    return asset.add_batch_definition_whole_dataframe("whole")


class _Configurations:
    """What `Expectation.configuration` of GX 1.24 answers, made once for each expectation as it stands: a suite of
    twenty rules asks for it 900 times, and each time GX makes it of all its fields."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make
        self.known: dict[int, tuple[Any, dict[str, Any], Any]] = {}

    def __call__(self, expectation: Any) -> Any:
        known = self.known.get(id(expectation))
        if known is None or known[0] is not expectation or known[1] != vars(expectation):
            if len(self.known) > 1_000:
                self.known.clear()
            known = self.known[id(expectation)] = (expectation, dict(vars(expectation)), self.make(expectation))
        return copy.copy(known[2])


def validate(
    suite: Suite, frame: pd.DataFrame, values: Mapping[str, object] | None = None, quarantine: Quarantine | None = None
) -> TableResult:
    """Check one frame against its suite; `values` fill the `$names` in kwargs. Never raises for bad data. With a
    `quarantine`, offenders against rules about single rows are named one and all."""
    rules = [_filled(rule, values or {}) for rule in suite.rules]
    missing = [column for column in suite.key if column not in frame.columns]
    if missing:
        raise ConfigError(f"suite {suite.table}: its frame has no key column {', '.join(missing)}")
    frame = frame.sort_values(list(suite.key), ignore_index=True)  # so that the same rows are named every time
    found = _run(suite, rules, frame, "BASIC")  # counts: naming offenders takes as long again, and few rules have any
    if broken := [rule for rule in rules if not found[rule.name].success]:
        found |= _run(suite, broken, frame, "SUMMARY")
    results = tuple(_result(rule, found[rule.name], suite, frame) for rule in rules)
    if quarantine is not None:
        results = tuple(
            _sorted_out(result, rule, suite, frame, quarantine) for result, rule in zip(results, rules, strict=True)
        )
    return TableResult(suite.table, suite.grain, len(frame), suite.key, results)


def _sorted_out(
    result: RuleResult, rule: Rule, suite: Suite, frame: pd.DataFrame, quarantine: Quarantine
) -> RuleResult:
    """The result with its offenders set aside or let go on, where the rule is about single rows and breaks in few."""
    if result.passed or rule.systemic or result.error or not quarantine.takes(result.failed, result.checked):
        return result
    known = _run(suite, [rule], frame, "COMPLETE")[rule.name].result
    ids = {str(row[suite.key[0]]) for row in known["unexpected_index_list"]}
    let_go = quarantine.released & ids
    return replace(result, set_aside=tuple(sorted(ids - let_go)), released=tuple(sorted(let_go)))


def _run(suite: Suite, rules: list[Rule], frame: pd.DataFrame, result_format: str) -> dict[str, Any]:
    frames = _frames()
    import great_expectations as gx  # now that telemetry is off
    from great_expectations.expectations.registry import get_expectation_impl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            kinds: list[Any] = [get_expectation_impl(rule.expectation) for rule in rules]
            expectations = [
                kind(**rule.kwargs, meta={"rule": rule.name}) for kind, rule in zip(kinds, rules, strict=True)
            ]
        except Exception as error:  # an unknown expectation or a wrong argument: GX and pydantic raise many kinds
            raise ConfigError(f"suite {suite.table} names an expectation that GX refuses: {error}") from error
        done = frames.get_batch(batch_parameters={"dataframe": frame}).validate(
            gx.ExpectationSuite(name=suite.table, expectations=expectations),
            result_format={
                "result_format": result_format,
                "partial_unexpected_count": EXAMPLES,
                "unexpected_index_column_names": list(suite.key),
                "return_unexpected_index_query": False,
            },
        )
    return {result.expectation_config.meta["rule"]: result for result in done.results}


def _filled(rule: Rule, values: Mapping[str, object]) -> Rule:
    kwargs = {}
    for name, value in rule.kwargs.items():
        if isinstance(value, str) and value.startswith("$"):
            if value[1:] not in values:
                raise ConfigError(f"rule {rule.name}: nothing is known as {value} at this boundary")
            value = values[value[1:]]
        kwargs[name] = value
    return replace(rule, kwargs=kwargs)


def _result(rule: Rule, found: Any, suite: Suite, frame: pd.DataFrame) -> RuleResult:
    """GX's nested answer as one flat row."""
    known = found.result or {}
    examples: list[dict[str, object]] = [
        {**{k: row.get(k) for k in suite.key}, **row} for row in known.get("partial_unexpected_index_list") or []
    ]
    checked, failed = known.get("element_count"), known.get("unexpected_count", 0)
    if not found.success and checked is None and rule.expectation == "expect_table_row_count_to_equal":
        checked = failed = len(frame)  # a frame of offenders: its rows are what is wrong
        examples = frame.head(EXAMPLES).to_dict("records")
    return RuleResult(
        name=rule.name,
        expectation=rule.expectation,
        kwargs=dict(rule.kwargs),
        why=rule.why,
        passed=bool(found.success),
        checked=checked,
        failed=0 if found.success else int(failed or 1),
        observed=_plain(known.get("observed_value")),
        examples=() if found.success else tuple({k: _plain(v) for k, v in row.items()} for row in examples[:EXAMPLES]),
        error=None if found.success else _error(found),
    )


def _error(found: Any) -> str | None:
    """What GX could not compute (a column that is not there), without its traceback."""
    info = found.exception_info or {}
    infos = [info] if "raised_exception" in info else list(info.values())
    messages = {str(i["exception_message"]).split("\n")[0] for i in infos if i.get("raised_exception")}
    return "; ".join(sorted(messages)) or None


def _plain(value: Any) -> Any:
    """JSON's types: numpy scalars become Python's, pandas' missing value null, NaN and infinities text."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, str | int | float | bool | list | dict) else str(value)
