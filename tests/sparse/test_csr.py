"""csr_array: what it is made of, what it refuses, what it becomes."""

import array
import copy
import itertools
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_sparse import arrays, compressed, dense

import mlopt
from mlopt.sparse import csc_array, csr_array

INDEX_TYPES = [np.int32, np.int64]
DTYPES = [np.float32, np.float64]

# rows 1 and 3 are empty, row 2 is not sorted, row 4 has a column twice and a zero
DATA = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0])
INDICES = np.array([0, 3, 2, 1, 2, 2, 3], np.int32)
INDPTR = np.array([0, 2, 2, 4, 4, 7], np.int32)
MATRIX = np.array([[1, 0, 0, 2], [0, 0, 0, 0], [0, 4, 3, 0], [0, 0, 0, 0], [0, 0, 11, 0]], np.float64)


def example(shape=(5, 4), **options):
    return csr_array((DATA, INDICES, INDPTR), shape, **options)


def assert_equals(a, expected):
    assert type(a) is csr_array
    assert a.shape == expected.shape
    assert a.dtype == expected.dtype
    np.testing.assert_array_equal(a.toarray(), expected)
    # and what it consists of could be given to the constructor
    again = csr_array((a.data, a.indices, a.indptr), a.shape)
    assert again.has_canonical_format == a.has_canonical_format
    assert again.has_sorted_indices == a.has_sorted_indices
    for part in (a.data, a.indices, a.indptr):
        assert not part.flags.writeable


# --- construction --------------------------------------------------------------------------------


@given(arrays())
def test_buffers_are_taken_as_they_are(given_):
    (data, indices, indptr), shape = given_
    a = csr_array((data, indices, indptr), shape)
    for part, source in ((a.data, data), (a.indices, indices), (a.indptr, indptr)):
        assert part.ctypes.data == source.ctypes.data
        assert part.dtype == source.dtype
        assert source.flags.writeable
    assert (a.nnz, a.ndim, a.dtype) == (data.size, 2, data.dtype)
    assert a.nbytes == data.nbytes + indices.nbytes + indptr.nbytes
    assert a.density == (data.size / (shape[0] * shape[1]) if 0 not in shape else 0)
    assert_equals(a, dense(data, indices, indptr, shape))
    inside = [np.diff(indices[indptr[i] : indptr[i + 1]]) for i in range(shape[0])]
    assert a.has_sorted_indices == all((step >= 0).all() for step in inside)
    assert a.has_canonical_format == all((step > 0).all() for step in inside)


def test_copy_makes_copies():
    a = example(copy=True)
    assert not any(map(np.shares_memory, (a.data, a.indices, a.indptr), (DATA, INDICES, INDPTR)))
    assert csr_array(a).data is a.data
    b = csr_array(a, copy=True)
    assert not np.shares_memory(b.data, a.data)
    assert_equals(b, MATRIX)


@pytest.mark.parametrize("index_type", INDEX_TYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_other_layouts_are_copied(dtype, index_type):
    data, indices, indptr = DATA.astype(dtype), INDICES.astype(index_type), INDPTR.astype(index_type)

    def misaligned(x):
        room = np.zeros(x.nbytes + 1, np.uint8)[1:]
        result = room.view(x.dtype)
        result[...] = x
        assert not result.flags.aligned
        return result

    for change in (
        lambda x: x.astype(x.dtype.newbyteorder("S")),
        lambda x: np.repeat(x, 2)[::2],
        lambda x: x[::-1].copy()[::-1],
        misaligned,
    ):
        a = csr_array((change(data), change(indices), change(indptr)), (5, 4))
        assert a.data.flags.carray is False  # read-only
        for part in (a.data, a.indices, a.indptr):
            assert part.flags.c_contiguous
            assert part.flags.aligned
            assert part.dtype.isnative
        assert a.indices.dtype == a.indptr.dtype == index_type
        assert_equals(a, MATRIX.astype(dtype))


def test_buffers_of_other_kinds():
    read_only = DATA.copy()
    read_only.flags.writeable = False
    a = csr_array((read_only, memoryview(INDICES), array.array("i", INDPTR.tolist())), (5, 4))
    assert a.data.ctypes.data == read_only.ctypes.data
    assert a.indices.ctypes.data == INDICES.ctypes.data
    assert_equals(a, MATRIX)
    assert_equals(csr_array((DATA.tolist(), INDICES.tolist(), INDPTR.tolist()), (5, 4)), MATRIX)
    long_long = INDICES.astype(np.longlong), INDPTR.astype(np.longlong)
    a = csr_array((DATA, *long_long), (5, 4))
    assert a.indices.dtype.num == np.dtype(np.int64).num


@pytest.mark.parametrize(
    ("index_types", "expected"),
    [
        ((np.int32, np.int64), np.int64), ((np.int64, np.int32), np.int64), ((np.int8, np.uint16), np.int32),
        ((np.uint64, np.uint64), np.int32), ((np.uint8, np.int64), np.int64), ((list, list), np.int32),
        ((list, np.int64), np.int64),
    ],
)  # fmt: skip
def test_index_types(index_types, expected):
    indices, indptr = (
        x.tolist() if t is list else x.astype(t) for x, t in zip((INDICES, INDPTR), index_types, strict=True)
    )
    a = csr_array((DATA, indices, indptr), (5, 4))
    assert a.indices.dtype == a.indptr.dtype == expected
    assert_equals(a, MATRIX)


def test_sides_that_int32_cannot_count():
    wide = csr_array(([1.0], np.array([7], np.int32), np.array([0, 1], np.int32)), (1, 2**40))
    assert wide.indices.dtype == np.int64
    assert csr_array((1, 2**40)).indices.dtype == np.int64
    assert csr_array.from_coo([1.0], [0], [2**39], (1, 2**40)).indices.dtype == np.int64
    assert wide.density == 2.0**-40


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 3)])
def test_without_elements(shape):
    assert_equals(csr_array(shape), np.zeros(shape))
    assert_equals(csr_array(shape, dtype="float32"), np.zeros(shape, np.float32))
    assert_equals(csr_array(np.zeros(shape)), np.zeros(shape))
    assert_equals(csr_array(([], [], [0] * (shape[0] + 1)), shape), np.zeros(shape))
    assert_equals(csr_array(([], ([], [])), shape), np.zeros(shape))
    a = csr_array(shape)
    assert a.has_canonical_format
    assert a.T.shape == shape[::-1]
    assert_equals(a.tocsc().tocsr(), np.zeros(shape))
    assert a.density == 0
    assert a.eliminate_zeros() is a.sum_duplicates() is a.sort_indices() is a
    assert (a @ np.ones(shape[1])).shape == shape[:1]
    assert (np.ones(shape[0]) @ a).shape == shape[1:]


def test_shape_is_found():
    assert csr_array((DATA, INDICES, INDPTR)).shape == (5, 4)
    assert csr_array((DATA[:0], INDICES[:0], INDPTR[:1])).shape == (0, 0)
    assert csr_array(([1.0, 2.0], ([3, 0], [1, 6]))).shape == (4, 7)


def test_dense_arrays():
    for source in (MATRIX, MATRIX.tolist(), np.asfortranarray(MATRIX), MATRIX[::-1, ::-1][::-1, ::-1]):
        a = csr_array(source)
        assert a.has_canonical_format
        assert a.indices.dtype == np.int32
        assert_equals(a, MATRIX)
        assert a.nnz == np.count_nonzero(MATRIX)
    odd = np.array([[np.nan, -0.0], [np.inf, 5e-324]])
    a = csr_array.from_dense(odd)
    assert a.nnz == 3
    np.testing.assert_array_equal(a.toarray(), odd)
    assert_equals(csr_array.from_dense([[1, 0], [0, 2]], dtype=np.float32), np.diag([1, 2]).astype(np.float32))
    assert csr_array.from_dense(MATRIX.astype(">f8")).dtype.isnative
    assert csr_array(np.array([[1e-300]]), dtype=np.float32).nnz == 0


@given(arrays(), st.randoms(use_true_random=False))
def test_coordinates(given_, random):
    (data, indices, indptr), shape = given_
    row = np.repeat(np.arange(shape[0]), np.diff(indptr))
    order = list(range(data.size))
    random.shuffle(order)
    a = csr_array.from_coo(data[order], row[order], indices[order], shape)
    assert a.has_canonical_format
    assert a.indices.dtype == np.int32
    assert_equals(a, dense(data, indices, indptr, shape))
    assert a.nnz == len(set(zip(row.tolist(), indices.tolist(), strict=True)))  # those that add up to zero stay
    assert_equals(csr_array((data, np.array([row, indices])), shape), a.toarray())


def test_coordinates_add_up_in_their_order():
    parts = np.array([1e16, 1.0, -1e16, 1.0])
    assert csr_array.from_coo(parts, [0] * 4, [0] * 4)[0, 0] == 1.0
    assert csr_array.from_coo(parts[[0, 2, 1, 3]], [0] * 4, [0] * 4)[0, 0] == 2.0


def test_dtype_converts():
    a = csr_array((np.array([1, 2]), [0, 1], [0, 2]), dtype=np.float32)
    assert_equals(a, np.array([[1, 2]], np.float32))
    assert_equals(csr_array(example(), dtype="float32"), MATRIX.astype(np.float32))
    assert_equals(csr_array.from_coo([True], [0], [0], dtype=float), np.ones((1, 1)))


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("index_type", INDEX_TYPES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indptr": {0: 1}}, r"^indptr\[0\] is 1; expected 0$"),
        ({"indptr": {0: -1}}, r"^indptr\[0\] is -1; expected 0$"),
        ({"indptr": {2: 5}}, r"^indptr\[3\] is 4, less than indptr\[2\], which is 5; expected numbers that do not"),
        ({"indptr": {1: -2}}, r"^indptr\[1\] is -2, less than indptr\[0\], which is 0"),
        ({"indptr": {5: 8}}, r"^indptr ends with 8; expected 7, the length of indices$"),
        ({"indptr": {5: 6}}, r"^indptr ends with 6; expected 7"),
        ({"indices": {3: 4}}, r"^indices\[3\] is 4; expected a number at least 0 and less than 4$"),
        ({"indices": {6: -1}}, r"^indices\[6\] is -1; expected a number at least 0 and less than 4$"),
        ({"indices": {0: "min"}}, r"^indices\[0\] is -2\d+; expected|^indices\[0\] is -9\d+; expected"),
        ({"indices": {0: "max"}}, r"^indices\[0\] is [29]\d+; expected"),
        ({"indptr": {2: "max"}}, r"^indptr\[3\] is 4, less than indptr\[2\]"),
        ({"indptr": {2: "min"}}, r"^indptr\[2\] is -\d+, less than indptr\[1\]"),
    ],
)
def test_wrong_contents(change, message, index_type):
    parts = {"data": DATA, "indices": INDICES.astype(index_type), "indptr": INDPTR.astype(index_type)}
    for name, places in change.items():
        for place, number in places.items():
            parts[name][place] = getattr(np.iinfo(index_type), number) if isinstance(number, str) else number
    with pytest.raises(ValueError, match=message):
        csr_array((parts["data"], parts["indices"], parts["indptr"]), (5, 4))


@given(arrays(), st.data())
def test_every_index_is_looked_at(given_, data):
    (values, indices, indptr), shape = given_
    if not indices.size:
        return
    place = data.draw(st.integers(0, indices.size - 1))
    limits = np.iinfo(indices.dtype)
    wrong = st.integers(limits.min, -1) | st.integers(shape[1], limits.max)
    indices[place] = data.draw(wrong)
    with pytest.raises(ValueError, match=rf"^indices\[{place}\] is {indices[place]};"):
        csr_array((values, indices, indptr), shape)


@given(arrays(), st.data())
def test_every_row_is_looked_at(given_, data):
    (values, indices, indptr), shape = given_
    place = data.draw(st.integers(0, shape[0]))
    limits = np.iinfo(indices.dtype)
    indptr[place] = data.draw(st.integers(limits.min, limits.max))
    right = indptr[0] == 0 and (np.diff(indptr.astype(object)) >= 0).all() and indptr[-1] == values.size
    if right:
        csr_array((values, indices, indptr), shape)
    else:
        with pytest.raises(ValueError, match=r"^indptr"):
            csr_array((values, indices, indptr), shape)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([(DATA[:-1], INDICES, INDPTR)], ValueError, "data has 6 elements and indices has 7; expected as many"),
        ([(DATA, INDICES, INDPTR[:0])], ValueError, "indptr is empty; expected at least one number, 0"),
        ([(DATA, INDICES, INDPTR), (6, 4)], ValueError, "indptr has 6 elements; expected 7"),
        ([(DATA, INDICES, INDPTR), (5, 3)], ValueError, r"indices\[1\] is 3; expected .* less than 3"),
        ([(DATA, INDICES, INDPTR), (5, 0)], ValueError, r"indices\[0\] is 0; expected .* less than 0"),
        ([(DATA, INDICES, INDPTR), (5,)], ValueError, r"shape is \(5,\); expected two integers"),
        ([(DATA, INDICES, INDPTR), (5, -1)], ValueError, r"shape is \(5, -1\); expected sides from 0"),
        ([(DATA, INDICES, INDPTR), (5, 4.0)], TypeError, r"shape is \(5, 4.0\); expected two integers"),
        ([(DATA, INDICES, INDPTR), 5], TypeError, "shape is 5; expected two integers"),
        ([(DATA, INDICES, INDPTR), (5, 2**63)], ValueError, r"expected sides from 0 to 2\*\*63 - 1"),
        ([(DATA[None], INDICES, INDPTR)], ValueError, "data has 2 dimensions; expected 1"),
        ([(DATA, INDICES[None], INDPTR)], ValueError, "indices has 2 dimensions; expected 1"),
        ([(DATA, INDICES.astype(float), INDPTR)], TypeError, "indices has elements of type float64; expected integers"),
        ([(DATA, INDICES, INDPTR > 0)], TypeError, "indptr has elements of type bool; expected integers"),
        ([(DATA, INDICES.astype(np.uint64) + np.uint64(2**63), INDPTR)], ValueError,
         "indices has the number 9223372036854775811; expected"),
        ([(DATA.astype(int), INDICES, INDPTR)], TypeError,
         "data has elements of type int64; expected float32 or float64, or dtype= to convert them"),
        ([(DATA.astype(np.float16), INDICES, INDPTR)], TypeError, "data has elements of type float16"),
        ([(DATA + 1j, INDICES, INDPTR)], TypeError, "data has elements of type complex128; expected real numbers"),
        ([(np.ma.array(DATA), INDICES, INDPTR)], TypeError, "data is a masked array"),
        ([(DATA.astype(object), INDICES, INDPTR)], TypeError, "data has elements of type object"),
        ([MATRIX[0]], ValueError, "a has 1 dimensions; expected 2"),
        ([MATRIX, (4, 5)], ValueError, r"shape is \(4, 5\), and a has shape \(5, 4\)"),
        ([MATRIX.astype(int)], TypeError, "a has elements of type int64"),
        ([1.0], ValueError, "a has 0 dimensions; expected 2"),
        ([(DATA, ([0], [0]))], ValueError, "data has 7 elements and row has 1; expected as many"),
        ([([1.0], ([0], [0, 1]))], ValueError, "data has 1 elements and col has 2; expected as many"),
        ([([1.0], ([2], [0])), (2, 2)], ValueError, r"row\[0\] is 2; expected a number at least 0 and less than 2"),
        ([([1.0, 1.0], ([1, 1], [0, -1])), (2, 2)], ValueError, r"col\[1\] is -1; expected"),
        ([([1.0, 1.0], ([1, -1], [0, 1]))], ValueError, r"row\[1\] is -1; expected"),
        ([([], ([], []))], ValueError, "shape is None, and there are no elements to take it from"),
        ([(2, 3), (3, 3)], ValueError, r"shape is \(3, 3\), and arg is the shape \(2, 3\)"),
        ([(2, -3)], ValueError, r"shape is \(2, -3\); expected sides from 0"),
        ([(DATA,)], ValueError, "arg is a tuple of another form"),
        ([(1, 2, 3, 4)], ValueError, "arg is a tuple of another form"),
        ([(1.0, 2.0)], ValueError, "arg is a tuple of another form"),
        ([([1.0], 2.0)], ValueError, "arg is a tuple of another form"),
        ([([1.0], ([0], [0], [0]))], ValueError, "arg is a tuple of another form"),
    ],
)  # fmt: skip
def test_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        csr_array(*arguments)


def test_refused_dtypes_and_shapes():
    for dtype in (np.float16, int, complex):
        with pytest.raises(TypeError, match=r"dtype is .*; expected float32 or float64"):
            csr_array(MATRIX, dtype=dtype)
        with pytest.raises(TypeError, match=r"dtype is .*; expected float32 or float64"):
            csr_array((2, 3), dtype=dtype)
        with pytest.raises(TypeError, match=r"dtype is .*; expected float32 or float64"):
            example().astype(dtype)
    for a in (example(), example().T.T.tocsc()):
        with pytest.raises(ValueError, match=r"shape is \(4, 5\), and arg has shape \(5, 4\)"):
            csr_array(a, (4, 5))
    with pytest.raises(TypeError, match=r"a must be a sparse array of SciPy's, not ndarray"):
        csr_array.from_scipy(MATRIX)


def test_a_refused_array_holds_nothing():
    a = csr_array.__new__(csr_array)
    for arguments in ((), ((DATA, INDICES + 7, INDPTR), (5, 4))):
        with pytest.raises((ValueError, TypeError)):
            a.__init__(*arguments)
        assert a.shape == (0, 0)
        assert (a @ np.zeros(0)).shape == (0,)


# --- what it becomes -----------------------------------------------------------------------------


@given(arrays())
def test_order_and_duplicates(given_):
    parts, shape = given_
    a = csr_array(parts, shape)
    expected = a.toarray()
    in_order = a.sort_indices()
    assert in_order.has_sorted_indices
    assert in_order.nnz == a.nnz
    assert (in_order is a) == a.has_sorted_indices
    merged = a.sum_duplicates()
    assert merged.has_canonical_format
    assert (merged is a) == a.has_canonical_format
    without = a.eliminate_zeros()
    assert np.all(without.data != 0)
    assert (without is a) == bool(np.all(a.data != 0))
    for result in (in_order, merged, without):
        assert_equals(result, expected)
    np.testing.assert_array_equal(parts[0], a.data)


def test_long_rows_are_sorted_stably():
    for count, columns, index_type in itertools.product(
        (16, 31, 32, 33, 34, 100, 4097), (2, 50, 256, 257, 70000, 2**31, 2**40), INDEX_TYPES
    ):
        if columns > np.iinfo(index_type).max + 1:
            continue
        data, indices, indptr = compressed(3, columns, [count, 0, count], count, index_type=index_type)
        if count == 100:
            indices = indices // 65536 * 65536  # the low bytes are equal
        data = np.arange(data.size, dtype=np.float64)
        a = csr_array((data, indices, indptr), (3, columns)).sort_indices()
        for start, end in ((0, count), (count, 2 * count)):
            order = start + np.argsort(indices[start:end], kind="stable")
            np.testing.assert_array_equal(a.indices[start:end], indices[order])
            np.testing.assert_array_equal(a.data[start:end], data[order])


@given(arrays())
def test_transposes(given_):
    parts, shape = given_
    a = csr_array(parts, shape)
    expected = a.toarray()
    assert type(a.T) is type(a.transpose()) is csc_array
    assert a.T.T is a
    assert a.T.data is a.data
    np.testing.assert_array_equal(a.T.toarray(), expected.T)
    by_columns = a.tocsc()
    assert by_columns.shape == shape
    assert by_columns.has_sorted_indices
    np.testing.assert_array_equal(by_columns.toarray(), expected)
    assert_equals(by_columns.tocsr(), expected)
    assert a.tocsr() is a


def test_dense_outputs():
    a = example()
    assert a.toarray().flags.c_contiguous
    assert a.todense(order="F").flags.f_contiguous
    room = np.full((10, 4), np.nan)
    assert a.toarray(out=room[::2]) is not None
    np.testing.assert_array_equal(room[::2], MATRIX)
    assert np.isnan(room[1::2]).all()
    for options, error, message in (
        ({"order": "K"}, ValueError, "order is 'K'; expected 'C' or 'F'"),
        ({"order": "C", "out": room[::2]}, ValueError, "order and out are given"),
        ({"out": MATRIX.tolist()}, TypeError, "out must be an ndarray, not list"),
        ({"out": MATRIX.astype(np.float32)}, TypeError, "out is an array of float32; expected float64"),
        ({"out": MATRIX.T}, ValueError, r"out has shape \(4, 5\); expected \(5, 4\)"),
        ({"out": np.broadcast_to(0.0, (5, 4))}, ValueError, "out is read-only"),
    ):
        with pytest.raises(error, match=message):
            a.toarray(**options)


def test_types_and_copies():
    a = example()
    assert a.astype(np.float64) is a
    assert_equals(a.astype("float32"), MATRIX.astype(np.float32))
    assert a.astype("float32").indices is a.indices
    b = a.copy()
    assert_equals(b, MATRIX)
    assert not any(map(np.shares_memory, (a.data, a.indices, a.indptr), (b.data, b.indices, b.indptr)))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("index_type", INDEX_TYPES)
def test_pickles(protocol, index_type):
    a = csr_array((DATA, INDICES.astype(index_type), INDPTR.astype(index_type)), (5, 4))
    for source in (a, a[1:4], a.T):
        b = pickle.loads(pickle.dumps(source, protocol))
        assert type(b) is type(source)
        assert b.shape == source.shape
        assert b.indices.dtype == index_type
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(b, name), getattr(source, name))


def test_pickles_out_of_band():
    a, buffers = example(), []
    text = pickle.dumps(a, 5, buffer_callback=buffers.append)
    b = pickle.loads(text, buffers=buffers)
    assert b.data.ctypes.data == a.data.ctypes.data
    assert_equals(b, MATRIX)
    wrong = [buffers[0], np.full(7, 9, np.int32), buffers[2]]
    with pytest.raises(ValueError, match=r"indices\[0\] is 9"):
        pickle.loads(text, buffers=wrong)


def test_copy_module_and_weak_references():
    a = example()
    assert_equals(copy.copy(a), MATRIX)
    assert copy.copy(a).data is a.data
    assert_equals(copy.deepcopy(a), MATRIX)
    assert not np.shares_memory(copy.deepcopy(a).data, a.data)
    reference = weakref.ref(a)
    assert reference() is a


def test_it_keeps_its_arrays():
    data = DATA.copy()
    a = csr_array((data, INDICES, INDPTR), (5, 4))
    references = sys.getrefcount(data)
    view = a[1:3]
    del a
    assert sys.getrefcount(data) >= references
    del view
    assert sys.getrefcount(data) < references


def test_it_is_read_only():
    a = example()
    for name in ("data", "indices", "indptr", "shape", "nnz", "dtype", "T"):
        with pytest.raises(AttributeError):
            setattr(a, name, None)
    with pytest.raises(ValueError, match="read-only"):
        a.data[0] = 1
    with pytest.raises(TypeError):
        a[0, 0] = 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(a)


def test_texts():
    a = example()
    assert repr(a) == "<csr_array of float64, shape (5, 4), 7 stored elements>"
    assert repr(a.T.astype("float32")) == "<csc_array of float32, shape (4, 5), 7 stored elements>"


def test_scipy_is_not_imported():
    program = (
        "import sys, numpy as np, mlopt\n"
        "a = mlopt.sparse.csr_array(np.eye(3)); a @ a; a.T @ np.ones(3); mlopt.sparse.density(a); 2 * a\n"
        "assert 'scipy' not in sys.modules\n"
        "sys.modules['scipy'] = None\n"
        "try:\n    a.to_scipy()\nexcept ImportError as error:\n    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "scipy is not installed, and to_scipy makes an array of its: pip install scipy\n"


# --- density -------------------------------------------------------------------------------------


def test_density():
    assert mlopt.sparse.density(MATRIX) == 5 / 20
    assert mlopt.sparse.density(example()) == mlopt.sparse.density(example().T) == 7 / 20
    assert mlopt.sparse.density([0, 0, 3]) == 1 / 3
    assert mlopt.sparse.density(np.array([np.nan, 0.0, -0.0, np.inf])) == 0.5
    assert mlopt.sparse.density(np.zeros((3, 0))) == mlopt.sparse.density(csr_array((3, 0))) == 0
    assert mlopt.sparse.density(np.ones((2, 3, 4))[:, ::2]) == 1
    with pytest.raises(TypeError, match="a has elements of type complex128; expected real numbers"):
        mlopt.sparse.density(MATRIX + 1j)
