"""Whether the library's warnings are heard."""

import logging

import pytest
from libp2p.utils.logging import setup_logging

from viz_node.p2p.mends import logs


def test_upstream__import__cuts_its_loggers_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("libp2p"), "propagate", True)
    setup_logging()  # what importing the library does
    assert not logging.getLogger("libp2p").propagate


def test_install__library_is_imported__its_warnings_and_nothing_less_are_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    setup_logging()
    logs.install()
    logger = logging.getLogger("libp2p.network.auto_connector")
    logger.info("dialling")
    logger.warning("something is wrong")
    assert caplog.messages == ["something is wrong"]
