"""What every test of the pages starts from: one served archive a module, and a browser's driver."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Playwright, expect, sync_playwright

from tests.web.served import Served, serving

# A busy machine draws late. Where a page promises a time, its test measures it.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served") / "archive") as site:
        yield site


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found
