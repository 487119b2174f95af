"""One machine for all of these tests, in the order of a server's life: from the installation to its end."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from harness.machine import why_not
from harness.server import Server

LIFE = ("test_install", "test_incident", "test_sandbox", "test_life", "test_uninstall")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of life; skipped with the reason, but never where CI is set."""
    items.sort(key=lambda item: LIFE.index(item.path.stem) if item.path.stem in LIFE else -1)
    reason = why_not()
    if reason and os.environ.get("CI"):
        pytest.exit(f"cannot run the system tests: {reason}", 2)
    for item in items:
        if reason and item.path.parent.name == "system":
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def newcomer() -> Iterator[Server]:
    """A server with a stack, on which nobody has installed paramedic."""
    made = Server()
    try:
        made.deploy()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def installed(newcomer: Server) -> Server:
    """The same after the README's commands."""
    newcomer.outputs = newcomer.install()
    return newcomer


@pytest.fixture(scope="session")
def acting(installed: Server) -> Server:
    """The same, configured to act."""
    installed.configure()
    return installed


@pytest.fixture
def server(acting: Server) -> Server:
    """The acting one, with nothing open."""
    acting.begin()
    return acting
