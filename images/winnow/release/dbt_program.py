"""dbt's own console script, run by its path as a process (`winnow.release.dbt_run`), never imported by a stage.

It leaves out what costs more than half of a build's time and shows nobody anything. What it replaces belongs to
dbt-core 1.11, which `constraints.txt` pins; the tests of `tests/dbt` run through it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any


def end_with_parent() -> None:
    """The kernel ends dbt when the process that started it is gone, however that ended: the next release removes its
    folder."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != int(os.environ.pop("WINNOW_PARENT")):
            sys.exit("the process that started dbt is gone")


def prepare() -> None:
    """Import dbt, without a grammar of URIs that jsonschema compiles at its import where the optional `rfc3987_syntax`
    happens to be installed, and replace what costs much."""
    gc.disable()
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    import dbt.cli.main  # noqa: F401

    _unheard_events()
    _names_found_once()
    _macros_bound_at_once()
    _one_manifest()
    _words_of_time_once()


def main() -> None:
    """`dbt` with the arguments of this process, and its exit status. The garbage collector, which would walk through
    the whole project that dbt holds in memory, still runs, rarely."""
    from dbt.cli.main import cli

    gc.set_threshold(200_000, 20, 100)
    gc.enable()
    sys.argv[0] = "dbt"
    sys.exit(cli())


def _unheard_events() -> None:
    """Messages of level debug, 6,000 a build, become protobufs and lines only where one is fired at another level."""
    from dbt_common.events.base_types import BaseEvent, DebugLevel, EventLevel
    from dbt_common.events.event_manager import EventManager

    fire, said = EventManager.fire_event, BaseEvent.__init__

    def say_later(self: Any, *arguments: Any, **fields: Any) -> None:
        if isinstance(self, DebugLevel):
            object.__setattr__(self, "unsaid", (arguments, fields))
        else:
            said(self, *arguments, **fields)

    def fire_what_is_shown(self: Any, e: Any, level: Any = None, *more: Any, **options: Any) -> None:
        if (level or e.level_tag()) != EventLevel.DEBUG:
            if isinstance(e, DebugLevel):
                arguments, fields = object.__getattribute__(e, "unsaid")
                said(e, *arguments, **fields)
            fire(self, e, level, *more, **options)

    BaseEvent.__init__, EventManager.fire_event = say_later, fire_what_is_shown


def _names_found_once() -> None:
    """The 500 macros that each of a build's 600 contexts holds are searched in five dictionaries once a context, not
    once a macro."""
    from dbt.context.macros import GLOBAL_PROJECT_NAME, MacroNamespace

    begin = MacroNamespace.__init__

    def begin_found(self: Any, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        self.found = {
            **self.global_project_namespace,
            GLOBAL_PROJECT_NAME: self.global_project_namespace,
            **self.packages,
            **self.global_namespace,
            **self.local_namespace,
        }

    def get(self: Any, key: str) -> Any:
        return self.found[key]

    def names(self: Any) -> Iterator[str]:
        return iter(self.found)

    MacroNamespace.__init__, MacroNamespace.__getitem__, MacroNamespace.__iter__ = begin_found, get, names


def _macros_bound_at_once() -> None:
    """Each of a build's 400 contexts binds 550 macros: in one loop instead of five calls a macro."""
    from dbt.clients.jinja import MacroGenerator
    from dbt.context.macros import MacroNamespaceBuilder

    add_macros = MacroNamespaceBuilder.add_macros

    def bound(self: Any, macros: Any, ctx: Any) -> None:
        packages: dict[str, dict[str, Any]] = {}
        for macro in macros:
            made = MacroGenerator.__new__(MacroGenerator)
            made.context, made.macro, made.node, made.stack = ctx, macro, self.node, self.thread_ctx
            packages.setdefault(macro.package_name, {})[macro.name] = made
        for name, found in packages.items():
            held = self.internal_packages if name in self.internal_package_names else self.packages
            if not held.get(name, {}).keys().isdisjoint(found):
                return add_macros(self, macros, ctx)  # a name twice: dbt says so in its words
            held.setdefault(name, {}).update(found)
            if held is self.packages and name == self.search_package:
                self.locals.update(found)
            elif held is self.packages and name == self.root_package:
                self.globals.update(found)
        return None

    MacroNamespaceBuilder.add_macros = bound


def _words_of_time_once() -> None:
    """A reader of times in words, which each of a build's 400 answers makes twice for columns that none of them has,
    compiles its expressions once."""
    import parsedatetime

    parsedatetime.Constants = lru_cache(parsedatetime.Constants)


def _one_manifest() -> None:
    """A second `manifest.json` after the first differs by the compiled SQL that documentation shows."""
    from dbt.contracts.graph.manifest import Manifest

    write = Manifest.write

    def write_first(self: Any, path: str) -> None:
        if "docs" in sys.argv or not os.path.exists(path):
            write(self, path)

    Manifest.write = write_first


if __name__ == "__main__":
    end_with_parent()
    prepare()
    main()
