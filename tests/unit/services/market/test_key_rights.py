"""May this account have the key? Asked of the chain and of pools, by a block that is shown."""

from types import SimpleNamespace

import pytest

from viz_node.domain.ids import Account
from viz_node.domain.transaction import Heads
from viz_node.errors import LicenseRequiredError, RefusedError
from viz_node.services.market.deliver_key import KeyRights

ACCOUNT = Account("0x" + "11" * 20)
MANIFEST = SimpleNamespace(adapter_id=lambda: "ab" * 32, account=Account("0x" + "22" * 20))


class Chain:
    """One adapter with one offer; the license by it runs until `expiry`, granted in block 5."""

    def __init__(self, expiry: int, is_registered: bool = True) -> None:
        self._expiry, self._is_registered = expiry, is_registered

    def find_adapter(self, digest: bytes, owner: Account) -> SimpleNamespace | None:
        return SimpleNamespace(number=7) if self._is_registered else None

    def offers_of(self, adapter_number: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(offer_id=3)]

    def license_expiry(self, offer_id: int, account: Account) -> int:
        return self._expiry

    def granted_in(self, offer_id: int, account: Account) -> int | None:
        return 5

    def block_time(self) -> int:
        return 100


class Pools:
    """Catalogues that have paid periods from these blocks."""

    def __init__(self, *blocks: int) -> None:
        self._blocks = list(blocks)

    async def granted_in(self, adapter_number: int, account: Account) -> list[int | None]:
        assert (adapter_number, account) == (7, ACCOUNT)
        return list(self._blocks)


def rights(chain: Chain, shown: int, *pools: int) -> KeyRights:
    async def heads() -> Heads:
        return Heads(shown + 2, shown, shown - 2)

    return KeyRights(chain, SimpleNamespace(heads=heads), Pools(*pools))


@pytest.mark.parametrize(("expiry", "pools"), [(101, ()), (0, (5,)), (100, (9, 5))])
async def test_require__license_or_subscription_in_a_shown_block__is_enough(expiry: int, pools: tuple[int]) -> None:
    await rights(Chain(expiry), 5, *pools).require("elsin", MANIFEST, ACCOUNT)


@pytest.mark.parametrize(("expiry", "pools"), [(101, ()), (0, (5,))])
async def test_require__block_is_not_shown_yet__waits(expiry: int, pools: tuple[int]) -> None:
    with pytest.raises(RefusedError, match="not safe yet"):
        await rights(Chain(expiry), 4, *pools).require("elsin", MANIFEST, ACCOUNT)


@pytest.mark.parametrize("chain", [Chain(0), Chain(100), Chain(101, is_registered=False)])
async def test_require__neither__is_told_that_a_license_is_missing(chain: Chain) -> None:
    with pytest.raises(LicenseRequiredError, match="holds no license for elsin"):
        await rights(chain, 9).require("elsin", MANIFEST, ACCOUNT)
