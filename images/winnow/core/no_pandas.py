"""Arrow without pandas, which it would otherwise import for a question that nobody asked."""

from __future__ import annotations

import sys


class _NoPandas:
    """Finds no pandas."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def without_pandas() -> None:
    """Tell Arrow that there is no pandas, in a process that runs one stage: it imports it, half a CPU second, as soon
    as a list becomes an array, to ask whether the list is one of pandas'. It asks once; others find pandas again."""
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow as pa

        pa.array([None])
    finally:
        sys.meta_path.remove(finder)
