"""The dbt project goes into the wheel: it lies beside the package in a checkout, and inside it once installed, as
`winnow/dbt` (`winnow.core.settings`). All else that building needs to know stands in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: What dbt and the gates read: code, seeds, tests, suites; nothing that a run left there.
PARTS = ("*.yml", "gx/**/*", "macros/**/*", "models/**/*", "seeds/**/*", "tests/**/*")
KINDS = {".csv", ".md", ".py", ".sql", ".yml"}


class BuildWithDbt(build_py):
    """Builds the package, with the dbt project beside its rooms."""

    def _dbt(self) -> dict[str, str]:
        """Where each file of the project goes, and which it is."""
        files = sorted({path for part in PARTS for path in Path("dbt").glob(part) if path.suffix in KINDS})
        return {str(Path(self.build_lib, "winnow", path)): str(path) for path in files}

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for target, source in self._dbt().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *([] if self.editable_mode else self._dbt())]


setup(cmdclass={"build_py": BuildWithDbt})
