"""What the stories share: minutes of work that need not be done twice."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The story that builds the base model from nothing comes first, and the others use it."""
    items.sort(key=lambda item: "test_first_start" not in item.nodeid)


@pytest.fixture(scope="session")
def built_bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base models that a story before this one has built; empty if none has."""
    return tmp_path_factory.mktemp("bases")
