"""Of cases that are much alike some run each time, and all with the long ones."""

from collections.abc import Iterable

import pytest


def often(cases: Iterable[object], *chosen: object) -> list[object]:
    """Give the cases, those that were not chosen marked long."""
    return [case if case in chosen else pytest.param(case, marks=pytest.mark.long) for case in cases]
