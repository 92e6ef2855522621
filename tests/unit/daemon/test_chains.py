"""A home trades on one market: what it remembers would mean something else on another one."""

from dataclasses import replace
from pathlib import Path

import pytest

from viz_node.daemon.chains import bind_home
from viz_node.domain.deployment import Deployment
from viz_node.domain.ids import Account
from viz_node.domain.purposes import Purpose
from viz_node.domain.records import OutboxEntry
from viz_node.errors import RefusedError
from viz_node.storage.store import Store

FIRST = Deployment(31337, Account("0x" + "ab" * 20), Account("0x" + "cd" * 20), 7, "00" * 32)
SECOND = replace(FIRST, market=Account("0x" + "ef" * 20))


def test_bind_home__another_market__only_before_anything_was_signed(tmp_path: Path) -> None:
    store = Store(tmp_path / "node.db")
    bind_home(tmp_path, store, FIRST)
    bind_home(tmp_path, store, SECOND)
    bind_home(tmp_path, store, FIRST)
    store.outbox.add_outbox(OutboxEntry("publish:1", Purpose("publish"), "signed", b"raw", "0x1", 0))
    bind_home(tmp_path, store, FIRST)
    for other in (SECOND, replace(FIRST, chain_id=1)):
        with pytest.raises(RefusedError, match="trades on market 0xab") as raised:
            bind_home(tmp_path, store, other)
        assert "--home" in raised.value.hint
