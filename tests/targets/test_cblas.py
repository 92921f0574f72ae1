"""A CBLAS library that the environment names takes part; what is no such library is refused by name."""

import ctypes.util

import numpy as np
import pytest

from mlopt.targets import cblas, peers
from mlopt.targets.shapes import LAYOUTS, operands


@pytest.fixture
def named(monkeypatch):
    """Name a library as a user would; forgotten afterwards."""

    def name(path):
        cblas.load.cache_clear()
        if path is None:
            monkeypatch.delenv(cblas.VARIABLE, raising=False)
        else:
            monkeypatch.setenv(cblas.VARIABLE, path)

    yield name
    monkeypatch.undo()
    cblas.load.cache_clear()


def test_without_the_variable_there_is_none(named):
    named(None)
    assert cblas.load() is None
    assert "AOCL-BLIS" not in peers.installed()


def test_what_is_not_one_is_refused(named, tmp_path):
    named(str(tmp_path / "nothing.so"))
    with pytest.raises(OSError, match=r"nothing\.so"):
        cblas.load()
    mathematics = ctypes.util.find_library("m")
    if mathematics is not None:
        named(mathematics)
        with pytest.raises(OSError, match=r"MLOPT_PEER_CBLAS=.* has no cblas_sgemm and no cblas_dgemm"):
            cblas.load()


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products(dtype):
    library = cblas.load()
    if library is None:
        pytest.skip(f"{cblas.VARIABLE} names no library")
    assert library.name in peers.installed()
    for layout in LAYOUTS:
        a, b, c = operands(13, 17, 19, layout, dtype)
        library.product(a, b, c)()
        np.testing.assert_allclose(c, a @ b, atol=1e-5)
    with pytest.raises(ValueError, match="neither an array in C order nor the transpose"):
        library.product(a[::2], b, c)
    with pytest.raises(TypeError, match="of one type"):
        library.product(a, b, c.astype(int))
