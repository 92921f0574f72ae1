"""The loops in C over the ring: every record arrives, whatever the size; wrong arguments are refused."""

import pytest

from mlopt.targets.ring_loops import time_latency, time_ring


@pytest.mark.parametrize("record_bytes", [8, 64, 72, 400])
@pytest.mark.parametrize("batch", [1, 7])
def test_all_records_arrive(record_bytes, batch):
    assert time_ring(record_bytes, 5001, capacity=33, batch=batch) > 0  # compares the sum of what was read


@pytest.mark.parametrize("mode", ["spin", "futex"])
def test_latency(mode):
    times = time_latency(mode, 50)
    assert times.shape == (50,)
    assert (times > 0).all()


@pytest.mark.parametrize("arguments", [(0, 1), (12, 1), (64, 0)])
def test_wrong_arguments(arguments):
    with pytest.raises(ValueError, match="must be a positive multiple of 8"):
        time_ring(*arguments)
    with pytest.raises(ValueError, match="'spin' or 'futex', not 'sleep'"):
        time_latency("sleep")
    with pytest.raises(ValueError, match="rounds"):
        time_latency(rounds=0)
