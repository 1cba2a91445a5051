"""Suites: what must hold at a boundary, as files in `dbt/gx/<boundary>/<table>.yml`.

A suite is one data frame, given by SQL over the boundary's tables, and the Great Expectations rules that it must meet.
The SQL keeps the frame narrow (a feature vector enters as its length and as "all finite", never as itself) and turns
statements over several tables ("clips × mean = clip-hours") into rows that a rule can point at.

    table: probe
    grain: one row per clip
    key: [sample_id]                 # how an offending row is named
    frame: SELECT sample_id, duration_s FROM probe WHERE outcome = 'ok'
    rules:
      - name: has_duration
        expectation: expect_column_values_to_not_be_null
        kwargs: {column: duration_s}
        why: A clip without a duration cannot be counted in hours.

`each_stage: true` repeats a suite for every stage table, `{stage}` standing for its name. A value `$reasons` in kwargs
is filled in by the boundary.

`sets_aside: true` says that a row which breaks a rule is set aside (`winnow.gates.quarantine`) and the rest of its
batch goes on; a rule with `systemic: true`, one about a share of the rows (`mostly`) and every rule of other suites
stop the batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from winnow.core.errors import ConfigError
from winnow.core.lake import digest

BOUNDARIES = ("batch", "release")


@dataclass(frozen=True)
class Rule:
    """One expectation and the sentence that says why it is there."""

    name: str
    expectation: str
    kwargs: Mapping[str, object]
    why: str
    systemic: bool = True


@dataclass(frozen=True)
class Suite:
    """The rules of one table at one boundary."""

    table: str
    grain: str
    key: tuple[str, ...]
    frame: str
    rules: tuple[Rule, ...]
    each_stage: bool = False
    sets_aside: bool = False

    def for_stage(self, stage: str) -> Suite:
        """The same suite about one stage's table."""
        return replace(
            self,
            table=self.table.replace("{stage}", stage),
            frame=self.frame.replace("{stage}", stage),
            each_stage=False,
        )


def folder(dbt_dir: Path, boundary: str) -> Path:
    """Where a boundary's suites lie."""
    return Path(dbt_dir) / "gx" / boundary


def load_suites(dbt_dir: Path, boundary: str) -> list[Suite]:
    """Every suite of one boundary, in file order; a file that does not parse is a ConfigError naming it."""
    import yaml

    paths = sorted(folder(dbt_dir, boundary).glob("*.yml"))
    if not paths:
        raise ConfigError(f"no suites in {folder(dbt_dir, boundary)}: a gate without rules would pass everything")
    suites = []
    for path in paths:
        try:
            suites.append(_parse(yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)))
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} is not a suite: {type(error).__name__} {error}") from error
    return suites


def suites_digest(dbt_dir: Path, boundary: str) -> str:
    """12 hex characters over what the boundary's files say (comments and layout aside): two gates with the same digest
    check the same. A file that does not parse counts by its bytes."""
    import yaml

    said = []
    for path in sorted(folder(dbt_dir, boundary).glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        with contextlib.suppress(yaml.YAMLError):
            text = yaml.load(text, yaml.CSafeLoader)
        said.append([path.name, text])
    return digest(said)


def _parse(document: Mapping) -> Suite:
    sets_aside = bool(document.get("sets_aside", False))
    rules = tuple(_rule(said, sets_aside) for said in document["rules"])
    names = [rule.name for rule in rules]
    if len(set(names)) != len(names) or not names:
        raise TypeError("rule names must be there and unique")
    return Suite(
        table=document["table"],
        grain=document["grain"],
        key=tuple(document["key"]),
        frame=document["frame"].strip(),
        rules=rules,
        each_stage=bool(document.get("each_stage", False)),
        sets_aside=sets_aside,
    )


def _rule(said: Mapping, sets_aside: bool) -> Rule:
    kwargs = said.get("kwargs") or {}
    systemic = not sets_aside or bool(said.get("systemic", False)) or "mostly" in kwargs
    return Rule(said["name"], said["expectation"], kwargs, said["why"], systemic)
