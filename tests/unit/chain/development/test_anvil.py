"""The development chain's process is recognised by its command line, on systems with and without /proc."""

import os
import shutil
from pathlib import Path

import pytest

from viz_node.chain.development.anvil import command_line


@pytest.mark.skipif(shutil.which("ps") is None or not Path("/proc/self/cmdline").exists(), reason="needs both")
def test_command_line__asked_in_both_ways__is_the_same() -> None:
    told = command_line(os.getpid(), has_proc=True)
    assert "python" in told
    assert command_line(os.getpid(), has_proc=False) == told
    assert command_line(2**22 + 1, has_proc=True).strip() == command_line(2**22 + 1, has_proc=False).strip() == ""
