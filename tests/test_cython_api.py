"""A user's own Cython module that cimports mlopt, built with setuptools."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("Cython", minversion="3.1")
pytest.importorskip("setuptools")

MODULE = """\
# cython: language_level=3
cimport mlopt
from libc.stdint cimport int64_t
from mlopt.concurrent.counters cimport Counter, Gauge
from mlopt.concurrent.histogram cimport Histogram, mlopt_clock_now
from mlopt.concurrent.map cimport ConcurrentMap

def double_precision(const double[::1] x, double[::1] y, const double[:, :] a, double[:, :] b, double[:, :] out):
    cdef double total
    with nogil:
        total = mlopt.dot(x, y)
        mlopt.axpy(2.0, x, y)
        mlopt.matmul(a, b, out)
    return total

def strided(double[:] x, double[:] y):
    cdef double total
    with nogil:
        total = mlopt.dot(x, y)
        mlopt.axpy(2.0, x, y)
    return total

def count(Counter records, Gauge depth, Histogram latency):
    cdef long long start = mlopt_clock_now()
    with nogil:
        for _ in range(100):
            records.add(2)
            depth.change(0.5)
            latency.record_value(-3)
            start = latency.record_time_since(start)
        depth.store(depth.load() + 1)
    return records.total(), start

def different(float[::1] x, double[::1] y):
    with nogil:
        mlopt.dot(x, y)

def single_precision(float[::1] x, const float[::1] y, const float[:, ::1] a, const float[:, :] b, float[:, ::1] out):
    cdef float total
    with nogil:
        total = mlopt.dot(x, y)
        mlopt.matmul(a, b, out)
    return total

def change_map(ConcurrentMap numbers, const int64_t[::1] keys, ConcurrentMap names):
    cdef Py_ssize_t i
    cdef int64_t value = 0, total = 0
    with nogil:
        for i in range(keys.shape[0]):
            numbers.put_int64(keys[i], i, NULL)
            numbers.add_int64(keys[i], 1, NULL)
            names.insert_bytes(&keys[i], 8, i, NULL)
        for i in range(keys.shape[0]):
            if numbers.find_int64(keys[i], &value) == 1 and names.find_bytes(&keys[i], 8, &value) == 1:
                total += value
        total += numbers.remove_int64(keys[0], &value) + numbers.update_int64_if(keys[1], 2, 100)
    return total, numbers.find_bytes("x", 1, &value), names.put_int64(1, 1, NULL)
"""

# Cython looks for .pxd files along sys.path; an editable install is not on it, hence include_path
SETUP = """\
import os

import mlopt
import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

extension = Extension("mine", ["mine.pyx"], include_dirs=[mlopt.get_include(), numpy.get_include()])
setup(ext_modules=cythonize([extension], include_path=[os.path.dirname(os.path.dirname(mlopt.__file__))]))
"""

CHECK = """\
import numpy as np
import mine, mlopt

for dtype, function in ((np.float64, mine.double_precision), (np.float32, mine.single_precision)):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 50)).astype(dtype)
    a, b = rng.standard_normal((7, 9)).astype(dtype), rng.standard_normal((9, 5)).astype(dtype)
    out = np.full((7, 5), np.nan, dtype)
    expected = mlopt.dot(x, y), y + 2 * x
    for tier in mlopt.available_tiers():
        with mlopt.use_isa(tier):
            total = function(x, y.copy(), a, b, out)
        np.testing.assert_allclose(total, expected[0], rtol=1e-4)
        np.testing.assert_allclose(out, a @ b, rtol=1e-3, atol=1e-5)
    function(x, y, a.copy(order="C"), np.asfortranarray(b), out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-3, atol=1e-5)
    if dtype == np.float64:
        np.testing.assert_allclose(y, expected[1])
    y.flags.writeable = dtype == np.float64
    for bad in ((x[:-1].copy(), y, a, b, out), (x, y, a, b[:-1], out), (x, y, a, b, out[:-1])):
        try:
            function(*bad)
        except ValueError as error:
            assert "must be" in str(error), error
        else:
            raise AssertionError("no error")
x, y = np.arange(20.0), np.arange(30.0)
expected = x[::2] @ y[::3], y[::3] + 2 * x[::2]
np.testing.assert_allclose(mine.strided(x[::2], y[::3]), expected[0])
np.testing.assert_array_equal(y[::3], expected[1])
try:
    mine.different(np.ones(2, np.float32), np.ones(2))
except TypeError as error:
    assert "one element type" in str(error)
else:
    raise AssertionError("no error")
records, depth, latency = mlopt.concurrent.Counter(), mlopt.concurrent.Gauge(), mlopt.concurrent.Histogram()
total, end = mine.count(records, depth, latency)
assert (total, records.value, depth.value, latency.count, latency.min) == (200, 200, 51.0, 200, 0)
assert 0 < end <= mlopt.concurrent.now()
numbers, names = mlopt.concurrent.ConcurrentMap(), mlopt.concurrent.ConcurrentMap("bytes")
keys = np.arange(100) * 3
assert mine.change_map(numbers, keys, names) == (sum(range(100)) + 2, -2, -2)
assert dict(numbers.items()) == {3: 100} | {3 * i: i + 1 for i in range(2, 100)}
assert names[keys[5:6].tobytes()] == 5
print("checked")
"""


POOL_MODULE = """\
# cython: language_level=3
from mlopt.memory.array_pool cimport ArrayPool, acquire_slot, release_slot

def fill_all(ArrayPool pool not None, double value, int count):
    cdef double *slots[16]
    cdef int i, taken = 0
    cdef bint good = True
    with nogil:
        for i in range(count):
            slots[taken] = <double *>acquire_slot(pool)
            if slots[taken] == NULL:
                break
            slots[taken][0] = value
            taken += 1
        for i in range(taken):
            good = good and slots[i][0] == value and release_slot(pool, slots[i]) and not release_slot(pool, slots[i])
        good = good and not release_slot(pool, &value)
    return taken if good else -1
"""

POOL_CHECK = """\
import mine, mlopt

pool = mlopt.ArrayPool(10, capacity=3)
assert mine.fill_all(pool, 2.5, 5) == 3
leases = [pool.acquire() for _ in range(2)]
assert mine.fill_all(pool, 3.5, 5) == 1
assert [lease.array[0] for lease in leases] == [2.5, 2.5]
assert pool.statistics["acquisitions"] == 6 and pool.statistics["in_use"] == 2
print("checked")
"""


@pytest.mark.no_sanitizer
@pytest.mark.slow
@pytest.mark.parametrize(("module", "check"), [(MODULE, CHECK), (POOL_MODULE, POOL_CHECK)], ids=["kernels", "pools"])
def test_a_users_module(tmp_path, module, check):
    (tmp_path / "mine.pyx").write_text(module)
    (tmp_path / "setup.py").write_text(SETUP)
    environment = {**os.environ, "CFLAGS": "-O1 -w", "LDFLAGS": ""}
    build = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert build.returncode == 0, build.stdout + build.stderr
    # by path: with PYTHONSAFEPATH, as `make test` sets it, the working directory is not on it
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checked" in done.stdout
