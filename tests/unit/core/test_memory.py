"""What a sample's work frees, the process keeps."""

from __future__ import annotations

import subprocess
import sys

FAULTS = """
import resource
from winnow.core.memory import keep_freed

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(24 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed()
print(int(kept), faults(), faults())
"""


def test_a_block_that_was_freed_comes_back_without_page_faults() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    kept, first, again = map(int, done.stdout.split())
    assert first > 1000
    assert not kept or again < 100
