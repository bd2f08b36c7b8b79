"""Training in tests takes one core, so that tests can run side by side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.toy import one_thread


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    """One thread for torch while a module's tests run."""
    with one_thread():
        yield
