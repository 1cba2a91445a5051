"""Fingerprint: what "the code changed" means. `code_digest` follows behaviour, not text:

- It reads the syntax tree of a module and of every module of the package that it imports, at the top or in a function.
- Docstrings, comments, layout, the order of imports, `pass`, what only a type checker reads (annotations of functions
  and variables, `if TYPE_CHECKING`) do not count. Annotations of a class's fields do: dataclasses and pydantic read
  them.
- No path and no module's name counts. A name that is imported from the package stands for what it names: so a module
  can be renamed or moved, an import can get an alias, a package can pass a name on, and nothing is computed again.
- A table that a module reads from beside itself (a `.csv` that it names) counts by its bytes.
- It never looks behind the wall, `winnow.core`: that room moves data. A change there that does change tables must raise
  `Stage.version` of the stages it touches.

Modules may import each other in circles, so a digest is refined in rounds, as in colour refinement of graphs
(Weisfeiler and Leman, 1968): first each module's own tree, then with the digests of what it refers to, as many rounds
as there are modules.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeGuard

from winnow.core.errors import ConfigError
from winnow.core.lake import digest, sha256_bytes

PACKAGE = Path(__file__).resolve().parents[1]
NAME = "winnow"
WALL = "winnow.core"

#: What a name in a module stands for: a module of the package (None behind the wall), and an attribute of it (None for
#: the module itself).
Target = tuple[str | None, str | None]
Names = Mapping[str, Target]
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@lru_cache
def code_digest(module: str) -> str:
    """Digest of a module's behaviour, 12 hex characters. `module` is dotted, as in `__name__`: a module of the package,
    or of somebody's own stage. ConfigError for one that does not exist: a digest of nothing would never change."""
    if _file(module) is None:
        raise ConfigError(f"there is no module {module!r} to take a digest of: pass a module's `__name__`")
    behind = {name: _read(name, _file(name)) for name in closure(module)}
    round_ = {name: one.own for name, one in behind.items()}
    for _ in behind:
        round_ = {
            name: digest([one.own, [[_of(round_, target) for target in group] for group in (one.used, one.unused)]], 64)
            for name, one in behind.items()
        }
    return round_[module][:12]


def source_digest(path: Path) -> str:
    """Digest of the behaviour of one file of Python that is no module of the package (a dbt model), with all that it
    imports of the package. The file is read each time: it may be edited while this process runs."""
    one = _Reader("", path.parent).read(ast.parse(path.read_bytes(), filename=str(path)))
    used = [[code_digest(m) if m else WALL, attribute] for m, attribute in (*one.used, *one.unused)]
    return digest([one.own, used])


def closure(module: str) -> list[str]:
    """The module and all modules of the package that it comes to import, sorted; none behind the wall."""
    found: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        one = _read(name, _file(name))
        todo += [target for target, _ in (*one.used, *one.unused) if target is not None]
    return sorted(found)


def _of(round_: Mapping[str, str], target: Target) -> list[str | None]:
    module, attribute = target
    return [WALL if module is None else round_[module], attribute]


@lru_cache
def _file(module: str) -> Path | None:
    """The file of a module; None where there is none. Of the package, from the tree: nothing is imported for it."""
    if module == NAME or module.startswith(f"{NAME}."):
        base = PACKAGE.joinpath(*module.split(".")[1:])
        return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@dataclass(frozen=True)
class _Module:
    """A module as its digest sees it: its own tree, what the names in it stand for in order of first use, and what it
    imports without using it (sorted)."""

    own: str
    used: tuple[Target, ...]
    unused: tuple[Target, ...]


@lru_cache
def _read(module: str, path: Path) -> _Module:
    return _Reader(_package(module, path), path.parent).read(_tree(path))


@lru_cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


def _package(module: str, path: Path) -> str:
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


class _Reader:
    """Turns one syntax tree into nested lists that hold nothing but behaviour."""

    def __init__(self, package: str, folder: Path) -> None:
        self.package, self.folder = package, folder
        self.numbers: dict[Target, int] = {}
        self.imported: set[Target] = set()
        self.tables: set[Path] = set()

    def read(self, tree: ast.Module) -> _Module:
        """The module that a tree is."""
        names = self._imports(tree)
        outside = sorted({line for node in tree.body for line in _outside(node)})
        body = self._body(tree.body, names, top=True)
        tables = sorted((path.name, sha256_bytes(path.read_bytes())) for path in self.tables)
        unused = sorted(self.imported - set(self.numbers), key=str)
        return _Module(digest([outside, body, tables], 64), tuple(self.numbers), tuple(unused))

    def _imports(self, scope: ast.AST) -> dict[str, Target]:
        """What the imports of a scope, without the functions in it, bind to things of the package."""
        bound: dict[str, Target] = {}
        for node in _within(scope):
            if isinstance(node, ast.ImportFrom):
                source = _absolute(node, self.package)
                if source == NAME or source.startswith(f"{NAME}."):
                    for alias in node.names:
                        bound[alias.asname or alias.name] = _target(source, alias.name)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name == NAME or alias.name.startswith(f"{NAME}."):
                        target = _target(alias.name, None)
                        if alias.asname:
                            bound[alias.asname] = target
                        self.imported.add(target)
        self.imported |= set(bound.values())
        return bound

    def _body(self, statements: Iterable[ast.stmt], names: Names, *, top: bool = False) -> list[object]:
        """Statements that do something; at the top of a module, imports from elsewhere are counted apart."""
        kept = []
        for node in statements:
            if isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and _is_text(node.value)):
                continue
            if _only_for_types(node):
                kept += self._body(node.orelse, names, top=top)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                kept += [] if top else _outside(node)
            else:
                kept.append(self._node(node, names))
        return kept

    def _node(self, node: ast.AST, names: Names) -> object:
        if isinstance(node, ast.Name) and node.id in names:
            return ["name", self.numbers.setdefault(names[node.id], len(self.numbers))]
        if isinstance(node, ast.Constant):
            self._table(node.value)
            return ["constant", type(node.value).__name__, repr(node.value)]
        if isinstance(node, ast.AnnAssign) and not isinstance(names, _InClass):
            return self._node(ast.Assign([node.target], node.value), names) if node.value else ["declared"]
        inner = names
        if isinstance(node, _FUNCTIONS):
            hidden = _local(node)
            inner = {name: target for name, target in names.items() if name not in hidden} | self._imports(node)
        elif isinstance(node, ast.ClassDef):
            inner = _InClass({**names, **self._imports(node)})
        elif isinstance(names, _InClass):
            inner = names if isinstance(node, (ast.If, ast.With, ast.Try)) else dict(names)
        fields: list[object] = [type(node).__name__]
        for name in node._fields:
            value = getattr(node, name, None)
            if name in ("ctx", "type_comment", "kind") or value is None or value == []:
                continue
            if name in ("returns", "annotation") and not self._annotated(node):
                continue
            # Decorators, defaults and bases are evaluated outside of what they belong to.
            env = names if name in ("decorator_list", "bases", "keywords", "args") and inner is not names else inner
            env = inner if isinstance(node, _FUNCTIONS) and name == "body" else env
            fields.append([name, self._value(value, env, name)])
        return fields

    def _value(self, value: object, names: Names, field: str) -> object:
        if isinstance(value, list):
            if field in ("body", "orelse", "finalbody") and value and isinstance(value[0], ast.stmt):
                return self._body(value, names)
            return [self._value(one, names, "") for one in value]
        return self._node(value, names) if isinstance(value, ast.AST) else repr(value)

    @staticmethod
    def _annotated(node: ast.AST) -> bool:
        """Whether an annotation of this node is read when the program runs: only those of a class's fields are."""
        return isinstance(node, ast.AnnAssign)

    def _table(self, value: object) -> None:
        """Note the tables beside the module that a text in it names; `.csv` alone names all of them."""
        if isinstance(value, str) and value.endswith(".csv") and "/" not in value:
            pattern = value if len(value) > len(".csv") else "*.csv"
            self.tables |= {path for path in self.folder.glob(pattern) if path.is_file()}


class _InClass(dict[str, Target]):
    """Names as a class's body sees them, where an annotation is a field."""


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    base = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _target(source: str, attribute: str | None) -> Target:
    """What `from source import attribute` gives, followed to where it is defined."""
    if attribute is not None and _file(f"{source}.{attribute}") is not None:
        source, attribute = f"{source}.{attribute}", None
    if source in (NAME, WALL) or source.startswith(f"{WALL}."):
        return None, attribute
    path = _file(source)
    if path is None:
        raise ConfigError(f"the package has no module {source}, which one of its modules imports")
    return _handed_on(source, path).get(attribute, (source, attribute)) if attribute else (source, None)


@lru_cache
def _handed_on(module: str, path: Path) -> dict[str, Target]:
    """Names that a module has from others of the package."""
    return _Reader(_package(module, path), path.parent)._imports(_tree(path))


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a scope without those of functions and classes in it, and without what only types need."""
    for node in ast.iter_child_nodes(scope):
        if _only_for_types(node):
            for inner in node.orelse:
                yield inner
                yield from _within(inner)
            continue
        yield node
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef)) and not _only_read(node):
            yield from _within(node)


def _only_read(node: ast.AST) -> bool:
    """Whether it is an expression that binds no name."""
    return isinstance(node, ast.expr) and not isinstance(getattr(node, "ctx", None), ast.Store)


def _local(function: Function) -> set[str]:
    """Names that a function binds itself: its parameters and what it assigns, imports aside."""
    spelled = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    outer: set[str] = set()
    for node in _within(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            spelled.add(node.id)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            outer |= set(node.names)
    return spelled - outer


def _outside(node: ast.AST) -> list[str]:
    """What an import statement at hand takes from other packages, a line a name."""
    if isinstance(node, ast.Import):
        return [f"{a.name} as {a.asname}" for a in node.names if a.name.split(".")[0] != NAME]
    if (
        isinstance(node, ast.ImportFrom)
        and not node.level
        and (node.module or "").split(".")[0] not in (NAME, "__future__")
    ):
        return [f"{node.module}.{a.name} as {a.asname}" for a in node.names]
    return []


def _only_for_types(node: ast.AST) -> TypeGuard[ast.If]:
    """Whether it is `if TYPE_CHECKING:`."""
    test = node.test if isinstance(node, ast.If) else None
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
