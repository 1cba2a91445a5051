"""What "the code changed" means: digests follow behaviour, and nothing else."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from winnow.core import fingerprint
from winnow.core.errors import ConfigError

ROOT = "winnow.stages.loud"
TREE = {
    "__init__.py": '__version__ = "1"\n',
    "stages/__init__.py": "",
    "stages/loud.py": (
        '"""A stage."""\n'
        "import json\n"
        "from typing import TYPE_CHECKING\n"
        "from winnow.core.lake import Lake\n"
        "from winnow.models import tone\n"
        "from winnow.signal import gain as level, shift\n"
        "if TYPE_CHECKING:\n"
        "    from winnow.other import Kind\n"
        "class Loud:\n"
        '    """Is loud."""\n'
        "    rate: int = 1\n"
        "    def process(self, batch: Kind) -> Kind:\n"
        '        """Says how loud."""\n'
        "        found = tone.f(batch)  # of the tone\n"
        "        return Lake(json.dumps(level(found))), shift\n"
    ),
    "models/__init__.py": "",
    "models/tone.py": "def f(x):\n    from winnow.signal import shift  # inside a function\n    return shift(x)\n",
    "signal/__init__.py": "from winnow.signal.plain import gain, shift\n",
    "signal/plain.py": (
        "from pathlib import Path\n"
        'TABLE = Path(__file__).with_name("levels.csv")\n'
        "def gain(x):\n    return x + 2\n"
        "def shift(x):\n    return x - 1\n"
    ),
    "signal/levels.csv": "a,1\n",
    "other.py": "Kind = 1\n",
    "core/__init__.py": "",
    "core/lake.py": "class Lake: pass\n",
}


class Tree:
    """A small package in the place of Winnow's, and what may be done to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, text in TREE.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def rename(self, old: str, new: str, *imports: tuple[str, str, str]) -> None:
        """Move a file; `imports` are (file, old text, new text) in those that import it."""
        (self.root / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.root / old, self.root / new)
        for name, before, after in imports:
            self.edit(name, before, after)

    def digest(self, root: str = ROOT) -> str:
        _forget()
        return fingerprint.code_digest(root)


def _forget() -> None:
    for one in vars(fingerprint).values():
        if hasattr(one, "cache_clear"):
            one.cache_clear()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setattr(fingerprint, "PACKAGE", tmp_path / "winnow")
    yield Tree(tmp_path / "winnow")
    _forget()


LOUD, TONE, PLAIN = "stages/loud.py", "models/tone.py", "signal/plain.py"
SAME: dict[str, Callable[[Tree], None]] = {
    "docstring of a module": lambda t: t.edit(LOUD, "A stage.", "Another text."),
    "docstring of a class": lambda t: t.edit(LOUD, "Is loud.", "Not so loud."),
    "docstring of a function, gone": lambda t: t.edit(LOUD, '        """Says how loud."""\n', ""),
    "comment": lambda t: t.edit(LOUD, "# of the tone", "# of something else"),
    "layout": lambda t: t.edit(LOUD, "tone.f(batch)", "tone.f(\n            batch\n        )"),
    "quotes": lambda t: t.edit(PLAIN, '"levels.csv"', "'levels.csv'"),
    "order of imports": lambda t: t.edit(
        LOUD, "import json\nfrom typing import TYPE_CHECKING\n", "from typing import TYPE_CHECKING\nimport json\n"
    ),
    "alias of an import": lambda t: (
        t.edit(LOUD, "import gain as level, shift", "import gain as louder, shift"),
        t.edit(LOUD, "level(found)", "louder(found)"),
    ),
    "annotations of a function": lambda t: t.edit(LOUD, "batch: Kind) -> Kind:", "batch):"),
    "what only types need": lambda t: t.edit(LOUD, "winnow.other import Kind", "winnow.another import Kind"),
    "a module is renamed": lambda t: t.rename(
        TONE, "models/pitch.py", (LOUD, "import tone", "import pitch"), (LOUD, "tone.f", "pitch.f")
    ),
    "a module moves": lambda t: t.rename(
        TONE,
        "sounds/deep/tone.py",
        (LOUD, "from winnow.models import tone", "from winnow.sounds.deep import tone"),
    ),
    "a module moves, and its table with it": lambda t: (
        t.rename("signal/levels.csv", "waves/levels.csv"),
        t.rename(PLAIN, "waves/plain.py", ("signal/__init__.py", "winnow.signal.plain", "winnow.waves.plain")),
    ),
    "a package hands a name on no more": lambda t: (
        t.edit(LOUD, "from winnow.signal import", "from winnow.signal.plain import"),
        t.edit(TONE, "from winnow.signal import", "from winnow.signal.plain import"),
    ),
    "behind the wall": lambda t: t.edit("core/lake.py", "pass", "x = 1"),
    "the wall's module is renamed": lambda t: t.rename(
        "core/lake.py", "core/store.py", (LOUD, "winnow.core.lake", "winnow.core.store")
    ),
    "a module that nobody imports": lambda t: t.write("unused.py", "x = 1\n"),
    "Winnow's own version": lambda t: t.edit("__init__.py", '"1"', '"2"'),
}
CHANGED: dict[str, Callable[[Tree], None]] = {
    "a number": lambda t: t.edit(PLAIN, "x + 2", "x + 3"),
    "a number's type": lambda t: t.edit(PLAIN, "x + 2", "x + 2.0"),
    "an operator": lambda t: t.edit(PLAIN, "x - 1", "x + 1"),
    "two names are swapped": lambda t: t.edit(
        LOUD, "import gain as level, shift", "import shift as level, gain as shift"
    ),
    "another function of the same module": lambda t: t.edit(TONE, "import shift", "import gain as shift"),
    "a field's type": lambda t: t.edit(LOUD, "rate: int", "rate: float"),
    "a default": lambda t: t.edit(LOUD, "batch: Kind)", "batch: Kind = 1)"),
    "a decorator": lambda t: t.edit(LOUD, "class Loud:", "@print\nclass Loud:"),
    "a table beside a module": lambda t: t.write("signal/levels.csv", "a,2\n"),
    "another library": lambda t: t.edit(LOUD, "import json", "import pickle as json"),
    "an import that is run but not used": lambda t: t.edit(LOUD, "import json\n", "import json\nimport winnow.other\n"),
    "a name hidden by a parameter": lambda t: t.edit(LOUD, "process(self, batch: Kind)", "process(tone, batch)"),
    "a text that is no docstring": lambda t: t.edit(PLAIN, "return x + 2", 'return "x + 2"'),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_is_no_behaviour_does_not_count(tree: Tree, change: Callable[[Tree], None]) -> None:
    before = tree.digest()
    change(tree)
    assert tree.digest() == before


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_behaviour_counts(tree: Tree, change: Callable[[Tree], None]) -> None:
    before = tree.digest()
    change(tree)
    assert tree.digest() != before


def test_it_covers_what_is_imported_and_nothing_behind_the_wall(tree: Tree) -> None:
    _forget()
    assert fingerprint.closure(ROOT) == ["winnow.models.tone", "winnow.signal.plain", ROOT]


@pytest.mark.parametrize("root", ["nonsense", "stages.loud", "winnow.nonsense", "winnow.stages.loud.Loud", ""])
def test_a_root_that_does_not_exist_is_refused(tree: Tree, root: str) -> None:
    with pytest.raises(ConfigError, match="there is no module"):
        tree.digest(root)


def test_an_import_of_what_is_not_there_is_refused(tree: Tree) -> None:
    tree.edit(LOUD, "from winnow.models import tone", "from winnow.nowhere import tone")
    with pytest.raises(ConfigError, match=r"no module winnow\.nowhere"):
        tree.digest()


def test_modules_that_import_each_other_have_a_digest(tree: Tree) -> None:
    tree.edit(PLAIN, "def gain(x):\n", "def gain(x):\n    from winnow.models.tone import f\n    f(x)\n")
    before = tree.digest()
    tree.edit(TONE, "return shift(x)", "return -shift(x)")
    assert tree.digest() != before
    assert tree.digest("winnow.signal.plain") != tree.digest("winnow.models.tone")


def test_somebodys_own_stage_has_a_digest(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_stage.py").write_text("from winnow.signal import gain\nx = gain(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = tree.digest("their_stage")
    tree.edit(PLAIN, "x + 2", "x + 3")
    assert tree.digest("their_stage") != before
    assert "their_stage" not in sys.modules
