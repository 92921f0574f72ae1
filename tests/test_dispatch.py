"""Tiers: detection, capping, scoping to a context, and that the forced tier is the one that runs."""

import asyncio
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import mlopt
from mlopt._kernels.core import cpu_report, kernel_report, tier_report

TIERS = ("reference", "generic", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "avx512_bf16")


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def test_tiers_are_reported_in_order():
    report = tier_report()
    assert tuple(row["name"] for row in report) == TIERS
    assert [row["name"] for row in report if row["available"]] == list(mlopt.available_tiers())
    assert sum(row["default"] for row in report) == 1
    assert {"reference", "generic"} <= set(mlopt.available_tiers())


def test_no_table_has_a_missing_entry_and_each_entry_has_an_origin():
    for row in kernel_report():
        assert set(row["origin"]) == set(mlopt.available_tiers())
        for tier, origin in row["origin"].items():
            assert origin in TIERS
            assert TIERS.index(origin) <= TIERS.index(tier)


def test_the_forced_tier_is_the_one_that_runs():
    """Every tier that brings kernels brings the vector family, so its own body stands in its table."""
    own = {"reference", "generic", "avx2", "avx512"}
    for row in kernel_report():
        if row["family"] == "vector":
            for tier in own & set(mlopt.available_tiers()):
                assert row["origin"][tier] == tier, (row["name"], tier)


def test_reference_and_vector_results_differ_somewhere():
    """What the origin table claims, seen in results: the tiers round differently."""
    x = np.linspace(-9, 9, 20_001)
    with mlopt.use_isa("reference"):
        reference = mlopt.exp(x)
    with mlopt.use_isa("generic"):
        generic = mlopt.exp(x)
    assert not np.array_equal(reference, generic)
    np.testing.assert_allclose(reference, generic, rtol=1e-15)


def test_use_isa_nests_and_restores():
    default = mlopt.current_isa()
    with mlopt.use_isa("reference"):
        with mlopt.use_isa("generic"):
            assert mlopt.current_isa() == "generic"
        assert mlopt.current_isa() == "reference"
        with pytest.raises(RuntimeError, match="inside"), mlopt.use_isa("generic"):
            raise RuntimeError("inside")
        assert mlopt.current_isa() == "reference"
    assert mlopt.current_isa() == default


def test_use_isa_decorates():
    @mlopt.use_isa("reference")
    def tier():
        return mlopt.current_isa()

    assert tier() == "reference"
    assert tier() == "reference"
    assert mlopt.current_isa() != "reference"


@pytest.mark.parametrize(("tier", "error"), [("sse9", ValueError), ("", ValueError), (None, TypeError), (3, TypeError)])
def test_use_isa_refuses(tier, error):
    with pytest.raises(error, match="tier"):
        mlopt.use_isa(tier)


def test_unknown_tier_names_the_available_ones():
    with pytest.raises(ValueError, match=r"'sse9' is not a tier; available: reference, generic"):
        mlopt.use_isa("sse9")


def test_scoped_to_the_thread():
    seen = {}
    with mlopt.use_isa("reference"):
        thread = threading.Thread(target=lambda: seen.update(tier=mlopt.current_isa()))
        thread.start()
        thread.join()
    assert seen["tier"] != "reference"


def test_scoped_to_the_asyncio_task():
    async def forced(tier, log):
        with mlopt.use_isa(tier):
            for _ in range(5):
                await asyncio.sleep(0)
                log.append(mlopt.current_isa() == tier)

    async def main():
        log = []
        await asyncio.gather(*[forced(tier, log) for tier in mlopt.available_tiers()])
        return log

    assert all(asyncio.run(main()))


def test_flipping_tiers_does_not_disturb_other_threads():
    """One thread flips tiers as fast as it can; others compute and must get their own tier's bits."""
    x = np.linspace(-20, 20, 4001)
    expected = {}
    for tier in mlopt.available_tiers():
        with mlopt.use_isa(tier):
            expected[tier] = mlopt.exp(x), mlopt.sum(x * 1.1)
    stop = threading.Event()
    wrong = []

    def flip():
        while not stop.is_set():
            for tier in mlopt.available_tiers():
                with mlopt.use_isa(tier):
                    mlopt.exp(x)

    def compute(tier):
        with mlopt.use_isa(tier):
            exp, total = expected[tier]
            wrong.extend(
                tier for _ in range(200) if not np.array_equal(mlopt.exp(x), exp) or mlopt.sum(x * 1.1) != total
            )

    flipper = threading.Thread(target=flip)
    workers = [threading.Thread(target=compute, args=(tier,)) for tier in mlopt.available_tiers()]
    flipper.start()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stop.set()
    flipper.join()
    assert not wrong


@pytest.mark.parametrize("cap", mlopt.available_tiers())
def test_max_isa_caps_the_process(cap):
    result = run("import mlopt; print(mlopt.current_isa(), *mlopt.available_tiers())", MLOPT_MAX_ISA=cap)
    assert result.returncode == 0, result.stderr
    current, *available = result.stdout.split()
    assert current == cap
    assert available == list(mlopt.available_tiers()[: mlopt.available_tiers().index(cap) + 1])


def test_max_isa_above_the_machine_caps_nothing():
    result = run("import mlopt; print(mlopt.current_isa())", MLOPT_MAX_ISA="avx512_bf16")
    assert result.returncode == 0, result.stderr


def test_bad_max_isa_is_an_import_error_that_lists_the_good_ones():
    result = run("import mlopt", MLOPT_MAX_ISA="avx9000")
    assert result.returncode != 0
    assert "ImportError" in result.stderr
    assert all(tier in result.stderr for tier in TIERS)


def test_processor_is_described():
    report = cpu_report()
    assert report["l1d_bytes"] >= 8 << 10
    assert report["l2_bytes"] >= report["l1d_bytes"]
    assert 1 <= report["cores"] <= (os.cpu_count() or 1)
    assert report["cacheline_bytes"] in (32, 64, 128, 256)
