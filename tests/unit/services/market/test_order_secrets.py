"""An order's secret and the key that it brought are kept, sealed, and read again after a restart."""

import pytest

from tests.fakes.store import MemoryStore
from tests.fakes.world import keys_of
from viz_node.daemon.secrets import Sealing
from viz_node.domain.order import Delivery
from viz_node.errors import VerificationError
from viz_node.identity import delivery
from viz_node.services.market.order_secrets import OrderSecrets

ORDER, KEY = b"\1" * 32, b"\2" * 32
HASH = delivery.key_hash(KEY)


def secrets_on(store: MemoryStore) -> OrderSecrets:
    return OrderSecrets(store.sealed_orders, Sealing(keys_of("peer")), delivery)


def delivered(point: bytes, key: bytes = KEY) -> Delivery:
    given = delivery.wrap_for_order(key, point)
    return Delivery(given.point, given.wrapped, 0, b"")


def test_new_point__same_reference__is_the_same_after_a_restart_and_another_for_another_order() -> None:
    store = MemoryStore()
    point = secrets_on(store).new_point(ORDER)
    assert secrets_on(store).new_point(ORDER) == point == delivery.point_of(secrets_on(store).secret(ORDER) or b"")
    assert secrets_on(store).new_point(b"\3" * 32) != point
    assert secrets_on(store).secret(b"\4" * 32) is None


def test_take_key__right_one__is_kept_sealed() -> None:
    store = MemoryStore()
    secrets = secrets_on(store)
    given = delivered(secrets.new_point(ORDER))
    assert (secrets.key(HASH.hex()), secrets.has_key(HASH.hex())) == (None, False)
    secrets.take_key(secrets.secret(ORDER) or b"", given, HASH)
    assert (secrets_on(store).key(HASH.hex()), secrets_on(store).has_key(HASH.hex())) == (KEY, True)
    assert KEY.hex() not in repr(store.sealed_orders.keys)


def test_take_key__wrong_one__is_refused_proven_and_not_kept() -> None:
    secrets = secrets_on(MemoryStore())
    given = delivered(secrets.new_point(ORDER), b"\5" * 32)
    secret = secrets.secret(ORDER) or b""
    with pytest.raises(VerificationError, match="wrong key"):
        secrets.take_key(secret, given, HASH)
    assert not secrets.has_key(HASH.hex())
    assert secrets.shared_point(secret, given) == delivery.prove_wrong_key(secret, given.key).shared
