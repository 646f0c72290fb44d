"""Of cases that are much alike some run each time, and all with the long ones."""

from collections.abc import Iterable

import pytest


def often(cases: Iterable[object], *chosen: object) -> list[object]:
    """Give the cases, those that were not chosen marked long. A tuple has a value for each name."""
    return [case if case in chosen else _seldom(*case if isinstance(case, tuple) else (case,)) for case in cases]


def _seldom(*values: object) -> object:
    return pytest.param(*values, marks=pytest.mark.long)
