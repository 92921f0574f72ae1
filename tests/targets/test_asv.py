"""The benchmarks import, name what exists, and skip what does not."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "asv_bench"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not part of this distribution")
MODULES = ("common", "bench_api", "bench_int8", "bench_kernels", "bench_matmul", "bench_memory", "bench_targets")


@pytest.fixture(scope="module")
def benchmarks():
    """The package of benchmarks, under another name."""
    loaded = {}
    for name in ("", *MODULES):
        full = f"mlopt_benchmarks.{name}".rstrip(".")
        path = FOLDER / "benchmarks" / (f"{name}.py" if name else "__init__.py")
        spec = importlib.util.spec_from_file_location(full, path, submodule_search_locations=None if name else [])
        loaded[name] = sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded[name])
    yield loaded
    for name in loaded:
        del sys.modules[f"mlopt_benchmarks.{name}".rstrip(".")]


def test_configuration():
    configuration = json.loads((FOLDER / "asv.conf.json").read_text())
    assert configuration["matrix"]["env_nobuild"]["MLOPT_MAX_ISA"] == ["reference", "avx2", "avx512"]
    assert (FOLDER / configuration["benchmark_dir"]).is_dir()


def test_every_vector_kernel_is_benchmarked(benchmarks):
    from mlopt._kernels.register import kernel_report

    names = set(benchmarks["bench_kernels"].Register.params[0])
    assert {row["name"] for row in kernel_report() if row["family"] in ("vector", "limits")} <= names


def test_kernel_benchmark_runs(benchmarks):
    register = benchmarks["bench_kernels"].Register()
    register.setup("sum", "f32", 64)
    assert register.track_ns("sum", "f32", 64) > 0
    with pytest.raises(NotImplementedError):
        register.setup("no_such_kernel", "f32", 64)


def test_every_measured_target_is_tracked(benchmarks):
    from mlopt.targets import TARGETS

    assert benchmarks["bench_targets"].Targets.params[0] == [target.id for target in TARGETS if target.measured_by]


def test_missing_function_skips(benchmarks):
    with pytest.raises(NotImplementedError, match="not in this version"):
        benchmarks["common"].attribute("no_such_function")


@pytest.mark.parametrize("module", ["bench_api", "bench_int8", "bench_matmul", "bench_memory"])
def test_benchmarks_run(benchmarks, module):
    for cls in [c for c in vars(benchmarks[module]).values() if isinstance(c, type)]:
        instance = cls()
        arguments = [values[0] for values in getattr(cls, "params", ())]
        try:
            instance.setup(*arguments)
        except NotImplementedError:
            continue  # this version lacks what it measures
        for method in (m for m in dir(cls) if m.startswith(("time_", "track_"))):
            if method != "time_pairs":
                getattr(instance, method)(*arguments)
        if hasattr(instance, "teardown"):
            instance.teardown(*arguments)
