"""What tests of training need."""

from __future__ import annotations

import pytest

from tests import needs


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    needs.package("torch")
    import torch

    torch.set_num_threads(1)
