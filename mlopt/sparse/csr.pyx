"""The sparse array by compressed rows."""
import numpy as np

cimport numpy as cnp

from mlopt.sparse.compressed cimport CANONICAL, SORTED, UNKNOWN, CompressedRows

from mlopt.sparse import construct, gustavson, products, rows
from mlopt.sparse.indexing import chosen, is_index, place

cnp.import_array()


# An array over (data, indices, indptr), which are right.
cdef csr_array make(tuple arrays, size_t columns, int order=UNKNOWN):
    cdef csr_array result = csr_array.__new__(csr_array)
    result.take(arrays[0], arrays[1], arrays[2], columns, order)
    return result


# A sparse operand, mlopt's or SciPy's, by rows; None for anything else.
cdef csr_array as_rows(x):
    if isinstance(x, csr_array):
        return x
    if construct.is_scipy(x):
        return csr_array(x)
    if isinstance(x, _csc_array()):
        return x.tocsr()
    return None


# The class of columns, whose module imports this one.
cdef object _csc_array():
    from mlopt.sparse.csc import csc_array

    return csc_array


cdef bint is_number(x):
    return isinstance(x, (int, float, complex, np.number, np.bool_)) or (isinstance(x, np.ndarray) and x.ndim == 0)


# Two arrays with elements of one type and indices of one type.
cdef tuple alike(csr_array a, csr_array b):
    dtype = np.promote_types(a.data.dtype, b.data.dtype)
    index_type = np.promote_types(a.indices.dtype, b.indices.dtype)
    return converted(a, dtype, index_type), converted(b, dtype, index_type)


cdef csr_array converted(csr_array a, dtype, index_type):
    if a.data.dtype == dtype and a.indices.dtype == index_type:
        return a
    return make((a.data.astype(dtype, copy=False), a.indices.astype(index_type, copy=False),
                 a.indptr.astype(index_type, copy=False)), a.view.columns, a.order)


cpdef csr_array product(csr_array a, csr_array b, num_threads=None):
    """The product of two sparse arrays."""
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"b has shape {b.shape}: its rows do not match the {a.shape[1]} columns of a, "
                         f"a sparse array of shape {a.shape}")
    columns = b.view.columns
    return make(gustavson.matmul_sparse(*alike(a, b), num_threads), columns)


# a + factor b.
cdef csr_array total(csr_array a, csr_array b, double factor):
    if a.shape != b.shape:
        raise ValueError(f"sparse arrays of shapes {a.shape} and {b.shape} cannot be added; expected the same shape")
    a, b = alike(a.sum_duplicates(), b.sum_duplicates())
    if a.nnz + b.nnz > construct.LARGEST:
        a, b = converted(a, a.dtype, np.int64), converted(b, b.dtype, np.int64)
    return make(rows.add(a.data, a.indices, a.indptr, b.data, b.indices, b.indptr, factor), a.view.columns, CANONICAL)


cdef class csr_array(CompressedRows):
    """A sparse matrix of real numbers by compressed rows.

    Parameters
    ----------
    arg : array_like, sparse array, or tuple
        One of

        - a dense array of two dimensions, of which the elements that are not zero are kept;
        - a sparse array or matrix of SciPy's, in any format;
        - a csr_array or csc_array;
        - ``(data, indices, indptr)``: the elements and columns of row `i` are those from ``indptr[i]`` to
          ``indptr[i + 1] - 1``;
        - ``(data, (row, col))``: elements and their places; those of one place are added up;
        - ``(rows, columns)``, two integers: an array without elements.
    shape : tuple of int, optional
        ``(rows, columns)``. The smallest that fits by default.
    dtype : {float32, float64}, optional
        The type to convert elements to. Without it they must be float32 or float64.
    copy : bool, optional
        Copy arrays which could be used as they are: those of a sparse array by rows, and buffers.

    Attributes
    ----------
    data, indices, indptr : ndarray
        The elements, their columns, and where each row starts: read-only, the last two int32 or int64.
    shape : tuple of int
        ``(rows, columns)``.

    Raises
    ------
    ValueError
        If lengths do not fit, `indptr` does not rise from 0 to the number of elements, or an index is out of range:
        the message says which.
    TypeError
        If elements are not float32 or float64 and no `dtype` is given, or not real numbers; if indices are not
        integers.

    See Also
    --------
    csc_array : The same by columns.

    Notes
    -----
    Buffers are not copied where they are contiguous and aligned, of the machine's byte order, and both index arrays
    of one type, int32 or int64; other indices become int64, lists and coordinates int32 where that is enough. They are
    validated once, in one pass, and products keep what they derive from them: whoever owns the memory must not change
    it afterwards.

    The array itself never changes: methods return new ones. Elements may be in any order within a row, repeated (their
    sum counts) and zero; only what is built from dense arrays and coordinates is sorted, without duplicates.

    Construction is O(rows + elements), from coordinates and other formats with a sort within rows.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> a = mlopt.sparse.csr_array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
    >>> a
    <csr_array of float64, shape (2, 3), 3 stored elements>
    >>> a @ np.array([1.0, 10.0, 100.0])
    array([201., 300.])
    >>> mlopt.sparse.csr_array((a.data, a.indices, a.indptr), shape=(2, 3)).data is a.data
    True
    """
    __array_ufunc__ = None  # so that ndarray @ sparse is __rmatmul__

    def __init__(self, arg, shape=None, *, dtype=None, copy=False):
        cdef csr_array given
        if isinstance(arg, (csr_array, _csc_array())):
            given = as_rows(arg)
            if shape is not None and construct.checked_shape(shape) != given.shape:
                raise ValueError(f"shape is {shape!r}, and arg has shape {given.shape}; expected the same or None")
            if dtype is not None:
                given = given.astype(dtype)
            if copy:
                given = given.copy()
            self.take(given.data, given.indices, given.indptr, given.view.columns, given.order)
            return
        parts = construct.parts(arg, shape, dtype, copy)
        # looked at before it is taken, so that nothing unchecked is ever held
        given = make((parts.data, parts.indices, parts.indptr), parts.columns,
                     CANONICAL if parts.canonical else UNKNOWN)
        if not parts.ready:
            given.check()
        elif not parts.canonical:
            given = given.sum_duplicates()
        self.take(given.data, given.indices, given.indptr, given.view.columns, given.order)

    @classmethod
    def from_dense(cls, a, dtype=None):
        """From a dense array: the elements that are not zero, NaN among them.

        Parameters
        ----------
        a : array_like, shape (rows, columns)
            Real numbers.
        dtype : {float32, float64}, optional
            The type to convert them to, before zeros are looked for.

        Returns
        -------
        csr_array
        """
        return cls(np.asanyarray(a), dtype=dtype)

    @classmethod
    def from_scipy(cls, a, copy=False):
        """From a sparse array or matrix of SciPy's: by rows without a copy, other formats are converted.

        Parameters
        ----------
        a : sparse array or matrix
            Of float32 or float64.
        copy : bool, optional
            Copy the arrays.

        Returns
        -------
        csr_array
        """
        if not construct.is_scipy(a):
            raise TypeError(f"a must be a sparse array of SciPy's, not {type(a).__name__}")
        return cls(a, copy=copy)

    @classmethod
    def from_coo(cls, data, row, col, shape=None, dtype=None):
        """From elements and their places; those of one place are added up, in their order.

        Parameters
        ----------
        data, row, col : array_like, shape (n,)
            Elements, and where they are.
        shape : tuple of int, optional
            The smallest that has them all by default.
        dtype : {float32, float64}, optional
            The type to convert elements to.

        Returns
        -------
        csr_array

        Examples
        --------
        >>> import mlopt
        >>> mlopt.sparse.csr_array.from_coo([1.0, 2.0, 3.0], [0, 1, 1], [1, 0, 0]).toarray()
        array([[0., 1.],
               [5., 0.]])
        """
        return cls((data, (row, col)), shape, dtype=dtype)

    @property
    def dtype(self):
        """float32 or float64."""
        return self.data.dtype

    @property
    def ndim(self):
        """2."""
        return 2

    @property
    def nnz(self):
        """The number of stored elements, zeros and duplicates among them."""
        return cnp.PyArray_DIM(self.data, 0)

    @property
    def nbytes(self):
        """The bytes that the three arrays take."""
        return cnp.PyArray_NBYTES(self.data) + cnp.PyArray_NBYTES(self.indices) + cnp.PyArray_NBYTES(self.indptr)

    @property
    def density(self):
        """The share of elements that is stored; 0 where there are none."""
        return self.nnz / (self.shape[0] * self.shape[1] or 1)

    @property
    def has_sorted_indices(self):
        """Whether the columns of each row never fall."""
        return self.ordering() >= SORTED

    @property
    def has_canonical_format(self):
        """Whether the columns of each row rise: they are sorted, and none is there twice."""
        return self.ordering() == CANONICAL

    @property
    def T(self):
        """The transpose, a :class:`csc_array` of the same memory."""
        return _csc_array().of(self)

    def transpose(self):
        """The transpose, a :class:`csc_array` of the same memory."""
        return _csc_array().of(self)

    def tocsr(self):
        """The array itself."""
        return self

    def tocsc(self):
        """The same matrix by columns: a copy, sorted. O(elements + rows + columns)."""
        cdef csr_array transposed = make(gustavson.transpose_arrays(self), self.view.rows)
        return _csc_array().of(transposed)

    def toarray(self, order=None, out=None):
        """The dense array; duplicates are added up.

        Parameters
        ----------
        order : {"C", "F"}, optional
            How it lies in memory: by rows unless it is ``"F"``. Not with `out`.
        out : ndarray, optional
            Where to store it: of the same shape and dtype.

        Returns
        -------
        ndarray
            `out`, or a new array.

        Raises
        ------
        TypeError, ValueError
            If `out` is not a writable array of this shape and dtype, or `order` is neither ``"C"`` nor ``"F"``.
        """
        if order is not None and order != "C" and order != "F":
            raise ValueError(f"order is {order!r}; expected 'C' or 'F'")
        if out is None:
            result = np.zeros(self.shape, self.data.dtype, order or "C")
            rows.spread(self.data, self.indices, self.indptr, result)
            return result
        if order is not None:
            raise ValueError("order and out are given; expected one of them")
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
        if out.dtype != self.data.dtype:
            raise TypeError(f"out is an array of {out.dtype}; expected {self.data.dtype}")
        if out.shape != self.shape:
            raise ValueError(f"out has shape {out.shape}; expected {self.shape}")
        if not out.flags.writeable:
            raise ValueError("out is read-only; expected an array to write to")
        out[...] = self.toarray()
        return out

    def todense(self, order=None, out=None):
        """The dense array, as from :meth:`toarray`."""
        return self.toarray(order, out)

    def to_scipy(self, copy=False):
        """A :class:`scipy.sparse.csr_array` over the same memory.

        Parameters
        ----------
        copy : bool, optional
            Over copies, which can be written to; the arrays of the other are read-only.

        Returns
        -------
        scipy.sparse.csr_array

        Raises
        ------
        ImportError
            Where SciPy is not installed.
        """
        return construct.to_scipy("csr_array", (self.data, self.indices, self.indptr), self.shape, copy)

    def astype(self, dtype):
        """The array with elements of another type, float32 or float64; itself where it has them."""
        return converted(self, construct.checked_dtype(dtype), self.indices.dtype)

    def copy(self):
        """The same with arrays of its own."""
        return make((self.data.copy(), self.indices.copy(), self.indptr.copy()), self.view.columns, self.order)

    def sort_indices(self):
        """The array with the columns of each row in order; itself where they are."""
        if self.ordering() >= SORTED:
            return self
        return make((*rows.sort(self.data, self.indices, self.indptr), self.indptr), self.view.columns)

    def sum_duplicates(self):
        """The array sorted and with the elements of one place added up; itself where there is nothing to do."""
        if self.ordering() == CANONICAL:
            return self
        cdef csr_array a = self.sort_indices()
        if a.ordering() == CANONICAL:
            return a
        return make(rows.merge_duplicates(a.data, a.indices, a.indptr), self.view.columns, CANONICAL)

    def eliminate_zeros(self):
        """The array without stored zeros; itself where there are none."""
        if np.count_nonzero(self.data) == self.data.size:
            return self
        return make(rows.drop_zeros(self.data, self.indices, self.indptr), self.view.columns)

    # --- choosing -----------------------------------------------------------------------------------

    def __getitem__(self, key):
        """Rows, as a csr_array: by an integer (one row), a slice, a vector of integers or booleans. ``a[i, j]``, by
        two integers, is an element. A slice of step 1 shares the memory."""
        parts = [part for part in key if part is not Ellipsis] if isinstance(key, tuple) else [key]
        if parts and parts[0] is Ellipsis:
            parts = []
        if len(parts) > 2:
            raise IndexError(f"too many indices for array: array is 2-dimensional, but {len(parts)} were indexed")
        wanted = parts[0] if parts else slice(None)
        columns = parts[1] if len(parts) == 2 else slice(None)
        if is_index(wanted) and is_index(columns):
            return self.element(place(wanted, self.shape[0], 0), place(columns, self.shape[1], 1))
        if not isinstance(columns, slice) or columns != slice(None):
            raise IndexError("columns of a csr_array are not chosen, but by an integer beside one for the row; "
                             "use tocsc()[:, columns]")
        if is_index(wanted):
            at = place(wanted, self.shape[0], 0)
            return self.between(at, at + 1)
        if isinstance(wanted, slice):
            start, stop, step = wanted.indices(self.shape[0])
            if step == 1:
                return self.between(start, max(start, stop))
            most = max(self.shape[0], 1)
            wanted = np.arange(start, stop, min(max(step, -most), most), np.int64)
        return make(rows.choose(self.data, self.indices, self.indptr, chosen(wanted, self.shape[0])),
                    self.view.columns, CANONICAL if self.order == CANONICAL else UNKNOWN)

    def __iter__(self):
        """One row after the other."""
        return (self[i] for i in range(self.shape[0]))

    cdef csr_array between(self, Py_ssize_t start, Py_ssize_t stop):
        if start == 0 and stop == self.shape[0]:
            return self
        first, last = self.indptr[start], self.indptr[stop]
        return make((self.data[first:last], self.indices[first:last], self.indptr[start:stop + 1] - first),
                    self.view.columns, CANONICAL if self.order == CANONICAL else UNKNOWN)

    cdef object element(self, Py_ssize_t row, Py_ssize_t column):
        columns = self.indices[self.indptr[row]:self.indptr[row + 1]]
        return self.data[self.indptr[row]:self.indptr[row + 1]][columns == column].sum()

    # --- arithmetic ---------------------------------------------------------------------------------

    cdef csr_array with_data(self, data):
        if data.dtype not in construct.FLOATS:
            raise TypeError(f"the result has elements of type {data.dtype}; a csr_array has float32 or float64")
        return make((data, self.indices, self.indptr), self.view.columns, self.order)

    def __mul__(self, other):
        """Every stored element times a number."""
        return self.with_data(self.data * other) if is_number(other) else NotImplemented

    def __rmul__(self, other):
        return self.with_data(other * self.data) if is_number(other) else NotImplemented

    def __truediv__(self, other):
        """Every stored element divided by a number."""
        return self.with_data(self.data / other) if is_number(other) else NotImplemented

    def __neg__(self):
        return self.with_data(-self.data)

    def __pos__(self):
        return self

    def __abs__(self):
        cdef csr_array a = self.sum_duplicates()  # the magnitude of a sum is not the sum of magnitudes
        return a.with_data(np.abs(a.data))

    def __add__(self, other):
        """The sum with another sparse array."""
        return self.plus(other, False, False)

    def __radd__(self, other):
        return self.plus(other, False, True)

    def __sub__(self, other):
        """The difference to another sparse array."""
        return self.plus(other, True, False)

    def __rsub__(self, other):
        return self.plus(other, True, True)

    # self + other, self - other, other + self or other - self
    cdef object plus(self, other, bint minus, bint reflected):
        cdef csr_array b = as_rows(other)
        if b is not None:
            return total(b, self, -1 if minus else 1) if reflected else total(self, b, -1 if minus else 1)
        if is_number(other):
            if other == 0:
                return -self if minus and reflected else self
            raise TypeError(f"the {'difference' if minus else 'sum'} of a csr_array and the number {other} would be "
                            "dense; use toarray()")
        if isinstance(other, np.ndarray):
            raise TypeError(f"the {'difference' if minus else 'sum'} of a csr_array and a dense array is dense; "
                            "use toarray()")
        return NotImplemented

    def __matmul__(self, other):
        """The product with a dense vector or matrix, which is dense, or with a sparse array, which is sparse."""
        if cnp.PyArray_CheckExact(other) and cnp.PyArray_NDIM(<cnp.ndarray>other) > 0:
            return products.matmul(self, other)
        cdef csr_array b = as_rows(other)
        if b is not None:
            return product(self, b)
        return NotImplemented if np.ndim(other) == 0 else products.matmul(self, other)

    def __rmatmul__(self, other):
        cdef csr_array a = as_rows(other)
        if a is not None:
            return product(a, self)
        left = np.asarray(other)
        if left.ndim == 0:
            return NotImplemented
        if left.ndim > 2:
            raise ValueError(f"a has {left.ndim} dimensions; expected 1 or 2")
        if left.shape[left.ndim - 1] != self.shape[0]:
            raise ValueError(f"a has shape {left.shape}: its last dimension does not match the {self.shape[0]} rows of "
                             f"b, a sparse array of shape {self.shape}")
        return products.matmul_transposed(self, left.T).T

    def __eq__(self, other):
        if isinstance(other, np.ndarray) or is_number(other) or as_rows(other) is not None:
            raise TypeError("a csr_array is not compared element by element; compare what toarray() gives")
        return NotImplemented

    def __bool__(self):
        raise ValueError("the truth value of a csr_array is ambiguous; ask for nnz")

    def __reduce__(self):
        return csr_array, ((self.data, self.indices, self.indptr), self.shape)

    def __repr__(self):
        return f"<csr_array of {self.data.dtype}, shape {self.shape}, {self.nnz} stored elements>"


__all__ = ["csr_array"]
