"""What a gate found: plain values, written as JSON beside the page that a person reads. No clock, no path."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

EXAMPLES = 20


@dataclass(frozen=True)
class RuleResult:
    """One rule on one table. `failed` counts rows (or is 1 for a statement about the whole table); `set_aside` names
    the samples whose rows broke it and do not go on, `released` those that go on because somebody said so. Where every
    offending row is one of these, nothing is stopped."""

    name: str
    expectation: str
    kwargs: dict[str, object]
    why: str
    passed: bool
    checked: int | None = None
    failed: int = 0
    observed: object = None
    examples: tuple[dict[str, object], ...] = ()
    error: str | None = None
    set_aside: tuple[str, ...] = ()
    released: tuple[str, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether the rule stops what wanted to pass."""
        return not self.passed and not self.set_aside and not self.released


@dataclass(frozen=True)
class TableResult:
    """All rules on one table."""

    table: str
    grain: str
    rows: int
    key: tuple[str, ...]
    rules: tuple[RuleResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no rule stops it."""
        return not any(rule.stops for rule in self.rules)


@dataclass(frozen=True)
class GateResult:
    """One boundary for one subject: a batch's key, or a release."""

    boundary: str
    subject: str
    suites: str
    tables: tuple[TableResult, ...] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        """Whether the subject may pass."""
        return all(table.passed for table in self.tables)

    @property
    def counts(self) -> tuple[int, int]:
        """(rules that hold, rules)."""
        rules = [rule for table in self.tables for rule in table.rules]
        return sum(rule.passed for rule in rules), len(rules)

    def to_json(self) -> dict[str, object]:
        """As plain values."""
        held, rules = self.counts
        return {"passed": self.passed, "rules_held": held, "rules": rules, **asdict(self)}

    def message(self, page: str) -> str:
        """What a terminal shows of a failed gate: table, rule, why, the offending rows."""
        rules = self.counts[1]
        stops = sum(rule.stops for table in self.tables for rule in table.rules)
        lines = [f"the gate of {self.boundary} {self.subject} stopped it: {stops} of {rules} rules do not hold"]
        for table in self.tables:
            for rule in table.rules:
                if rule.stops:
                    lines += _lines(table, rule)
        return "\n".join([*lines, f"  every rule and its rows: {page}"])


def _lines(table: TableResult, rule: RuleResult) -> list[str]:
    what = f"{rule.failed} of {rule.checked} rows" if rule.checked is not None else f"observed {rule.observed!r}"
    lines = [
        f"  table {table.table}, rule {rule.name}: {rule.error or what}",
        f"    {rule.expectation}({', '.join(f'{k}={v!r}' for k, v in rule.kwargs.items())})",
        f"    why: {rule.why}",
    ]
    if rule.examples:
        lines += ["      " + " ".join(f"{k}={row[k]}" for k in row) for row in rule.examples]
        if rule.failed > len(rule.examples):
            lines.append(f"      … and {rule.failed - len(rule.examples)} more")
    return lines
