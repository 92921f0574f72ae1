"""Pipelines that run for long keep nothing of the records that went through."""

import gc
import os
import sys
import tracemalloc

import numpy as np
import pytest
from pipeline.stages import fitted, spoiled

from mlopt.pipeline import Pipeline

pytestmark = [
    pytest.mark.no_emulator,
    pytest.mark.no_sanitizer,  # whose own memory grows
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


def resident(pid="self"):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def check_growth(workers, count):
    """Memory after `count` records, a thousandth of them bad, compared with that after some; as much is traced."""
    rows = np.tile(np.array([100.0, 101.0, 99.0, 100.5, 1e6]), (1000, 1))
    rows = spoiled(rows, [500]).tolist()

    def endless():
        while True:
            yield from rows

    def sink(number, output):
        nonlocal least
        if number >= least:
            least += count
            pipeline.stop()

    least, bad = 5_000, []
    with Pipeline(
        [endless(), *fitted(), sink], workers=workers, on_error="skip", on_bad=lambda *what: bad.append(what[0])
    ) as pipeline:
        pipeline.run()
        gc.collect()
        tracemalloc.start()
        try:
            before = resident(), tracemalloc.get_traced_memory()[0]
            pipeline.run()
            bad.clear()
            gc.collect()
            after = resident(), tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert pipeline.statistics["records_in"] >= count
    assert after[0] - before[0] < 3 << 20
    assert after[1] - before[1] < 200_000


@pytest.mark.parametrize("workers", ["fused", "threads", "processes"])
def test_growth(workers):
    check_growth(workers, 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["fused", "threads", "processes"])
def test_growth_over_a_million_records(workers):
    check_growth(workers, 1_000_000)
