"""The library's count of streams for the whole host."""

from libp2p.rcmgr import Direction

from tests.raw_libp2p import raw_host
from viz_node.p2p.mends import counts


def test_upstream__one_peer_opens_all_streams_that_are_counted__no_other_gets_one() -> None:
    manager = raw_host().get_network()._resource_manager
    while manager.acquire_stream("one", Direction.INBOUND):
        pass
    assert not manager.acquire_stream("other", Direction.INBOUND)


def test_install__host__counts_nothing() -> None:
    host = raw_host()
    counts.install(host)
    assert host.get_network()._resource_manager is None
