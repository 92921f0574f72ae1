"""What is found of processes and of shared memory."""

import os
import subprocess
import sys

import pytest

from mlopt.concurrent import SPSCQueue
from mlopt.soak import processes

pytestmark = [
    pytest.mark.no_emulator,
    pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="shared memory is not listed here"),
]
CHILD = """
import os, sys
from mlopt.concurrent import SPSCQueue
queue = SPSCQueue(3, name=sys.argv[1])
os.kill(os.getpid(), 9)
"""


def test_segments_that_are_left():
    name = f"test-left-{os.getpid()}"
    before = set(processes.segments())
    with SPSCQueue(3, name=f"{name}-in-use") as used:
        subprocess.run([sys.executable, "-c", CHILD, name], timeout=60, check=False)
        assert f"mlopt-{name}" in processes.segments()
        assert f"mlopt-{name}" in processes.left_segments(before)
        assert f"mlopt-{name}" not in processes.segments()
        assert f"mlopt-{used.name}" in processes.segments()
    assert f"mlopt-{name}" not in processes.left_segments(before)


def test_a_segment_of_before_is_not_told():
    name = f"test-before-{os.getpid()}"
    subprocess.run([sys.executable, "-c", CHILD, name], timeout=60, check=False)
    assert f"mlopt-{name}" not in processes.left_segments(processes.segments())
