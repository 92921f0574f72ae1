"""Files: what is loaded is what was saved, and what is damaged or made up is refused."""

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest
from random_sparse import compressed

from mlopt.sparse import csc_array, csr_array, load_npz, save_npz


def example(dtype=np.float64, index_type=np.int32):
    return csr_array(compressed(20, 9, np.arange(20) % 6, 0, dtype, index_type), (20, 9))


def contents(a, **changes):
    arrays = {"data": a.data, "indices": a.indices, "indptr": a.indptr, "shape": np.array(a.shape), "format": b"csr"}
    arrays = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    return file


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("index_type", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip(dtype, index_type, compress, tmp_path):
    a = example(dtype, index_type)
    for source in (a, a.T, a[:0], a[3:7]):
        save_npz(tmp_path / "a", source, compressed=compress)
        assert os.listdir(tmp_path) == ["a.npz"]
        b = load_npz(str(tmp_path / "a.npz"))
        assert type(b) is type(source)
        assert b.shape == source.shape
        for name in ("data", "indices", "indptr"):
            x, y = getattr(b, name), getattr(source, name)
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


def test_a_file_stays_where_saving_fails(tmp_path):
    path = tmp_path / "a.npz"
    save_npz(path, example())
    before = path.read_bytes()
    with pytest.raises(TypeError, match="a must be a csr_array or a csc_array, not ndarray"):
        save_npz(path, np.eye(2))
    assert path.read_bytes() == before
    with pytest.raises(FileNotFoundError):
        save_npz(tmp_path / "nowhere" / "a.npz", example())
    with pytest.raises(FileNotFoundError):
        load_npz(tmp_path / "b.npz")
    assert os.listdir(tmp_path) == ["a.npz"]


def test_types_are_converted_on_request():
    integers = contents(example(), data=np.arange(50)[: example().nnz])
    with pytest.raises(TypeError, match=r"the file cannot be loaded: data has elements of type int64.*dtype="):
        load_npz(integers)
    assert load_npz(integers, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "it has no format: it does not hold a sparse array"),
        ({"format": b"dia"}, "its format is 'dia'; expected 'csr', 'csc' or 'coo'"),
        ({"format": np.array([b"csr", b"csr"])}, r"its format is \["),
        ({"format": np.arange(2)}, r"its format is \[0, 1\]"),
        ({"format": b"coo"}, "it has no array called row"),
        ({"shape": None}, "it has no array called shape"),
        ({"shape": np.array([20.0, 9.0])}, r"its shape is an array of float64 and shape \(2,\); expected two integers"),
        ({"shape": np.array([20, 9, 1])}, r"its shape is an array of int64 and shape \(3,\)"),
        ({"shape": np.array([20, -9])}, r"shape is \(20, -9\)"),
        ({"shape": np.array([21, 9])}, "indptr has 21 elements; expected 22"),
        ({"shape": np.array([20, 2])}, r"indices\[\d+\] is \d; expected a number at least 0 and less than 2"),
        ({"data": np.zeros(3)}, "data has 3 elements and indices has"),
        ({"data": np.array(["a"], object)}, "data holds objects; expected numbers"),
        ({"indices": example().indices - 1}, r"indices\[\d+\] is -1"),
        ({"indptr": example().indptr[::-1]}, r"indptr\[0\] is"),
    ],
)
def test_wrong_contents(changes, message):
    with pytest.raises(ValueError, match=f"the file cannot be loaded: {message}"):
        load_npz(contents(example(), **changes))


def test_formats_of_older_files():
    a = example()
    np.testing.assert_array_equal(load_npz(contents(a, format=np.array("csr"))).toarray(), a.toarray())
    assert type(load_npz(contents(a.T, format=np.array("csc")))) is csc_array


def test_damaged_files(tmp_path):
    path = tmp_path / "a.npz"
    save_npz(path, example())
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for length in (0, 1, 10, *rng.integers(11, len(whole), 20)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cannot be loaded"):
            load_npz(path)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            a = load_npz(path)
        except (ValueError, TypeError):
            refused += 1
        else:  # the archive holds more than what is read: dates, names of systems
            np.testing.assert_array_equal(a.toarray(), example().toarray())
    assert refused > 100
    for other in (b"not a zip file", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(other)
        with pytest.raises(ValueError, match=r"a.npz' cannot be loaded"):
            load_npz(path)


def npy_header(shape, descr="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def with_member(name, content, method=zipfile.ZIP_STORED):
    file = contents(example(), **{name: None})
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(f"{name}.npy", content, method)
    file.seek(0)
    return file


def test_headers_take_no_memory():
    tracemalloc.start()
    try:
        for content, message in (
            (npy_header((2**40,)), r"data has 0 bytes; its header says 8796093022208"),
            (npy_header((2**70,)), "data has 0 bytes; its header says"),
            (npy_header((2,), "|O"), "data holds objects"),
            (b"\x93NUMPY\x09\x00", "data is in version"),
            (b"", "cannot be loaded"),
            (npy_header((-1,)), "cannot be loaded"),
        ):
            with pytest.raises(ValueError, match=message):
                load_npz(with_member("data", content))
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_sizes_that_a_file_cannot_hold():
    file = with_member("data", npy_header((2**40,)))
    archive = zipfile.ZipFile(file)
    text = bytearray(file.getvalue())
    # what the directory says of the size, and what the header says, agree; the file has some thousand bytes
    entry = archive.getinfo("data.npy")
    size = (entry.file_size).to_bytes(4, "little")
    place = text.rindex(b"data.npy") - 46
    assert text[place + 24 : place + 28] == size
    text[place + 24 : place + 28] = (2**32 - 2).to_bytes(4, "little")
    with pytest.raises(ValueError, match=r"data says to have 4294967294 bytes, more than a file of \d+ can hold"):
        load_npz(io.BytesIO(text))
    with pytest.raises(ValueError, match="data is compressed by method 12; expected none or deflate"):
        load_npz(with_member("data", npy_header((0,)), zipfile.ZIP_BZIP2))


def test_nothing_is_executed():
    class Harm:
        def __reduce__(self):
            return pytest.fail, ("executed",)

    file = io.BytesIO()
    np.savez(file, data=np.array([Harm()], object), indices=[0], indptr=[0, 1], shape=[1, 1], format=b"csr")
    file.seek(0)
    with pytest.raises(ValueError, match="data holds objects"):
        load_npz(file)
