"""The log keeps its size whatever a stranger causes, and is read from its end over rotations."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from viz_node.daemon import logs
from viz_node.errors import NotFoundError


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose log the root logger of this process writes."""
    (tmp_path / "logs").mkdir()
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    for handler in before:
        root.removeHandler(handler)
    logs.write_log(tmp_path, "INFO")
    yield tmp_path
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    for handler in before:
        root.addHandler(handler)


def size_of(home: Path) -> int:
    return sum(path.stat().st_size for path in (home / "logs").iterdir())


def test_log__one_kind_of_line_again_and_again__is_folded_and_others_go_through(home: Path) -> None:
    for number in range(5000):
        logging.getLogger("p2p").warning("dropped a message from %s", number)
    logging.getLogger("chain").warning("another kind")
    lines = logs.last_lines(home, 1000)
    assert logs.PER_KIND < len(lines) <= 2 * logs.PER_KIND + 1, "two minutes at most"
    assert lines[-1].endswith("another kind")


def test_log__stranger_sends_escapes_and_line_ends__one_harmless_line(home: Path) -> None:
    told = "x\x1b[2J\r\n2026-01-01 INFO all is well\u2028\u202e\ud800"
    # Straight to the log's own handler: half a character in pytest's captured log would end a parallel run.
    (handler,) = (handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler))
    handler.handle(logging.LogRecord("p2p", logging.WARNING, "", 0, "dropped %s", (told,), None))
    (line,) = logs.last_lines(home, 10)
    assert line.endswith("dropped x�[2J  2026-01-01 INFO all is well ��")


def test_log__many_kinds_of_lines__are_bounded_too(home: Path) -> None:
    for number in range(1500):
        logging.getLogger("p2p").warning(f"kind {number} {'x' * 9000}")  # noqa: G004 - each a kind of its own
    assert size_of(home) < (logs.KEPT_LOGS + 1) * logs.MAX_LOG_BYTES + 2 * logs.MAX_LINE_CHARACTERS
    assert len(logs.last_lines(home, 100)) == 100


def test_folding__next_minute__tells_what_was_left_out() -> None:
    folding = logs.Folding()
    records = [logging.LogRecord("a", 30, "", 0, "said %s", (number,), None) for number in range(logs.PER_KIND + 5)]
    for record in records:
        record.created = 600.0
    assert sum(folding.filter(record) for record in records) == logs.PER_KIND
    last = logging.LogRecord("a", 30, "", 0, "said %s", ("this",), None)
    last.created = 661.0
    assert folding.filter(last)
    assert last.getMessage() == "said this (5 lines of the minutes before were left out)"


def test_last_lines__rotation_just_happened__goes_on_in_the_file_before(home: Path) -> None:
    directory = home / "logs"
    (directory / "node.log.1").write_text("\n".join(f"old {number}" for number in range(10)) + "\n")
    (directory / "node.log").write_text("new 0\nnew 1\n")
    assert logs.last_lines(home, 4) == ["old 8", "old 9", "new 0", "new 1"]
    assert logs.last_lines(home, 1) == ["new 1"]
    assert logs.last_lines(home, 0) == []


def test_follow__over_a_rotation__misses_no_line(home: Path) -> None:
    path, heard = home / "logs" / "node.log", list[str]()
    path.write_text("before\n")
    news = logs.follow(home)

    def listen() -> None:
        heard.extend(next(news) for _ in range(3))

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    while not path.read_text().endswith("one\n"):
        thread.join(0.3)
        path.write_text("before\none\n")
    path.replace(path.with_name("node.log.1"))
    with path.with_name("node.log.1").open("a") as file:
        file.write("two\n")
    path.write_text("three\n")
    thread.join(10)
    assert heard == ["one", "two", "three"]


def test_last_lines__no_log__says_where_and_why(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"node\.log"):
        logs.last_lines(tmp_path, 5)


def test_rotate__large_file_of_another_process__is_put_aside_once(tmp_path: Path) -> None:
    path = tmp_path / "workers.log"
    logs.rotate(path)
    path.write_bytes(b"x" * (logs.MAX_LOG_BYTES + 1))
    logs.rotate(path)
    assert not path.exists()
    path.write_bytes(b"x")
    logs.rotate(path)
    assert path.exists()
    assert len(list(tmp_path.iterdir())) == 2
