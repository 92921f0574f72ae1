"""The allocation counter sees what is there, and nothing else."""

import os
import sys
import sysconfig

import pytest

from mlopt.targets import allocations
from mlopt.targets.allocations import FUNCTIONS, count_allocations, count_allocations_of

pytestmark = [
    pytest.mark.no_sanitizer,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="allocations are counted on Linux only"),
    pytest.mark.skipif(bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="counts allocations through malloc"),
]

DELIBERATE = """
import ctypes
libc = ctypes.CDLL(None)
block, size = ctypes.c_void_p(), ctypes.c_size_t(640)
for function in ("malloc", "calloc", "realloc", "aligned_alloc", "memalign", "mmap"):
    getattr(libc, function).restype = ctypes.c_void_p
libc.free.argtypes = libc.free.argtypes = [ctypes.c_void_p]
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
"""
CALLS = {
    "malloc": "libc.free(libc.malloc(size))",
    "calloc": "libc.free(libc.calloc(size, size))",
    "realloc": "libc.free(libc.realloc(None, size))",
    "aligned_alloc": "libc.free(libc.aligned_alloc(size, size))",
    "memalign": "libc.free(libc.memalign(64, size))",
    "posix_memalign": "libc.posix_memalign(ctypes.byref(block), 64, size); libc.free(block)",
    "mmap": "libc.munmap(ctypes.c_void_p(libc.mmap(None, 4096, 3, 0x22, -1, 0)), size)",
}


@pytest.mark.parametrize("function", CALLS)
def test_a_deliberate_call_is_seen(function):
    setup = DELIBERATE.replace("640", "64") if function == "aligned_alloc" else DELIBERATE
    count = count_allocations(CALLS[function], setup, iterations=500)
    assert count.reason is None
    for counted in (count.by_function, count.by_function_with_objects):
        assert counted[function] >= 500
    assert count.allocations >= 500
    if function != "mmap":
        assert count.by_function["free"] >= 500


def test_every_function_has_its_test():
    assert set(CALLS) == set(FUNCTIONS) - {"free"}


def test_nothing_is_counted_where_nothing_allocates():
    count = count_allocations("x.fill(1.0)", "import numpy as np; x = np.empty(100)")
    assert count.allocations == 0
    assert count.allocations_with_objects == 0


def test_objects_are_seen_with_python_malloc_only():
    count = count_allocations("[x, x]", "x = 1 << 100", iterations=500)
    assert count.allocations < 50
    assert count.allocations_with_objects >= 500


def test_the_slab_pool_in_the_steady_state():
    count = count_allocations("mlopt.empty_aligned(100_000)", "import mlopt")
    assert count.allocations == 0
    assert count_allocations("np.empty(100_000)", "import numpy as np").allocations >= 1000


def test_other_threads_count():
    setup = """
import threading, time
from mlopt.memory import pool
go, done = threading.Semaphore(0), threading.Semaphore(0)
def work():
    while True:
        go.acquire()
        pool.trim()
        pool.acquire(100)
        done.release()
threading.Thread(target=work, daemon=True).start()
"""
    assert count_allocations("go.release(); done.acquire()", setup, iterations=200).by_function["aligned_alloc"] >= 200


def test_factory(tmp_path, monkeypatch):
    (tmp_path / "counted_work.py").write_text("def make():\n    return bytearray\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])))
    assert count_allocations_of("counted_work:make", iterations=300).allocations_with_objects >= 300
    with pytest.raises(RuntimeError, match="no_such"):
        count_allocations_of("counted_work:no_such")
    for bad in ("types", ":x", "types:"):
        with pytest.raises(ValueError, match="module:function"):
            count_allocations_of(bad)


def test_errors_and_missing_library(monkeypatch):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        count_allocations("1/0")
    with pytest.raises(ValueError, match="iterations=0"):
        count_allocations("pass", iterations=0)
    monkeypatch.setattr(allocations, "counter_library", lambda: None)
    count = count_allocations("pass")
    assert count.allocations is None
    assert "not in this build" in count.reason
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Linux only" in count_allocations("pass").reason
