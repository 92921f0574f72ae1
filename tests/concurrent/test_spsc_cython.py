"""Queues from a user's own Cython module, without the GIL."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from mlopt.concurrent import SPSCQueue

pytest.importorskip("Cython", minversion="3.1")
pytest.importorskip("setuptools")

MODULE = """\
# cython: language_level=3
from mlopt.concurrent.spsc cimport SPSCQueue

def forward(SPSCQueue source, SPSCQueue sink, long count):
    cdef void *record
    cdef void *slot
    cdef long i
    with nogil:
        for i in range(count):
            source.acquire_record(-1, &record)
            sink.reserve_record(-1, &slot)
            (<double *>slot)[0] = 2 * (<double *>record)[0]
            sink.publish_records(1)
            source.release_records(1)
"""

SETUP = """\
import os

import mlopt
import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

extension = Extension("mine", ["mine.pyx"], include_dirs=[mlopt.get_include(), numpy.get_include()])
setup(ext_modules=cythonize([extension], include_path=[os.path.dirname(os.path.dirname(mlopt.__file__))]))
"""


@pytest.mark.no_emulator
@pytest.mark.no_sanitizer
def test_forwarding_without_the_gil(tmp_path, monkeypatch):
    (tmp_path / "mine.pyx").write_text(MODULE)
    (tmp_path / "setup.py").write_text(SETUP)
    environment = {**os.environ, "CFLAGS": "-O1 -w", "LDFLAGS": ""}
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(build, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    import mine

    source, sink = SPSCQueue((), capacity=8), SPSCQueue((), capacity=4)
    thread = threading.Thread(target=mine.forward, args=(source, sink, 100), daemon=True)
    thread.start()
    for i in range(100):
        source.put(float(i))
        if i >= 4:
            assert sink.get(timeout=30) == 2 * (i - 4)
    thread.join(30)
    assert not thread.is_alive()
    out = np.empty(8)
    assert out[: sink.get_many(out)].tolist() == [192, 194, 196, 198]
    source.close()
    with pytest.raises(Exception, match="everything was read"):
        mine.forward(source, sink, 1)
