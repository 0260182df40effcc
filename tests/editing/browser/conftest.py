"""A browser, and the page of the shipped model in it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.editing.browser.visitor import MODEL, Visitor, chromium, visiting
from tests.editing.server.running import Running, running_server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running_server(MODEL) as running:
        yield running


@pytest.fixture
def visitor(browser: Any, server: Running) -> Iterator[Visitor]:
    with visiting(browser, server.url) as found:
        yield found
