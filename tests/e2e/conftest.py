"""What the stories share: minutes of work that need not be done twice."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def built_bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base models that a story before this one has built; empty if none has."""
    return tmp_path_factory.mktemp("bases")
