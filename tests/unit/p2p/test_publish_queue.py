"""What is published when, by the network's clock."""

from collections.abc import Callable

import trio
import trio.testing

from viz_node.p2p.offerings import Offerings
from viz_node.p2p.publish_queue import PublishQueue


def published(
    seconds: float,
    act: Callable[[PublishQueue, Offerings], None],
    later: Callable[[PublishQueue, Offerings], None] = lambda _queue, _offerings: None,
    *,
    goes_well: bool = True,
    peers_after: float = 0,
) -> list[tuple[float, str, str]]:
    """What was published in so many seconds; `later` comes a minute after `act`."""
    log: list[tuple[float, str, str]] = []
    offerings = Offerings()

    async def publish(kind: str, key: str) -> bool:
        log.append((round(trio.current_time(), 2), kind, key))
        return goes_well

    async def main() -> None:
        start = trio.current_time()
        queue = PublishQueue(offerings, publish, lambda: trio.current_time() >= start + peers_after)
        act(queue, offerings)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(queue.run)
            await trio.sleep(60)
            later(queue, offerings)
            await trio.sleep(seconds - 60)
            nursery.cancel_scope.cancel()
        log[:] = [(at - start, kind, key) for at, kind, key in log]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return log


def offer_all(queue: PublishQueue, offerings: Offerings) -> None:
    offerings.announcements["a"] = b"an announcement"
    offerings.provided["b"] = True
    queue.add_offered()


def test_run__adapter_and_blob_are_offered__one_write_a_second_and_again_after_three_hours() -> None:
    log = published(3 * 3600 + 60, offer_all)
    assert [(kind, key) for _, kind, key in log] == [("value", "a"), ("provider", "a"), ("provider", "b")] * 2
    assert [at for at, *_ in log[:3]] == [0, 1, 2]
    assert all(3 * 3600 <= again[0] - first[0] < 3 * 3600 + 1 for first, again in zip(log[:3], log[3:], strict=True))


def test_run__nobody_is_there__waits_and_publishes_when_somebody_is() -> None:
    log = published(61, offer_all, peers_after=30)
    assert [round(at) for at, *_ in log] == [30, 31, 32]


def test_run__write_fails__is_tried_again_after_a_quarter_of_a_minute() -> None:
    log = published(61, lambda queue, _: queue.add_provided("b"), goes_well=False)
    assert log == []

    def offer(queue: PublishQueue, offerings: Offerings) -> None:
        offerings.provided["b"] = True
        queue.add_provided("b")

    assert [round(at / 15) for at, *_ in published(61, offer, goes_well=False)] == [0, 1, 2, 3, 4]


def test_hurry__somebody_new_is_there__all_is_published_again_except_what_is_not_offered_any_more() -> None:
    def later(queue: PublishQueue, offerings: Offerings) -> None:
        del offerings.provided["b"]
        queue.hurry()

    log = published(120, offer_all, later)
    assert [(kind, key) for _, kind, key in log[3:]] == [("value", "a"), ("provider", "a")]
