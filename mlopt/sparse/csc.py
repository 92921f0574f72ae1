"""The sparse array by compressed columns: one by rows, seen from its side."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlopt.sparse import construct, products
from mlopt.sparse.csr import csr_array

__all__ = ["csc_array"]


def swapped(arg: Any) -> Any:
    """The constructor's argument for the transpose."""
    if isinstance(arg, tuple):
        if construct.is_shape(arg):
            return arg[::-1]
        # buffers by columns are those of the transpose by rows
        return (arg[0], arg[1][::-1]) if construct.is_coordinates(arg) else arg
    if construct.is_scipy(arg):
        return arg.T
    dense = construct.plain(arg, "a")
    if dense.ndim != 2:
        raise ValueError(f"a has {dense.ndim} dimensions; expected 2")
    return dense.T


class csc_array:
    """A sparse matrix of real numbers by compressed columns: what ``csr_array.T`` gives.

    Parameters
    ----------
    arg : array_like, sparse array, or tuple
        As for :class:`csr_array`, but that in ``(data, indices, indptr)`` the elements and rows of column `j` are those
        from ``indptr[j]`` to ``indptr[j + 1] - 1``. SciPy's arrays by columns are not copied.
    shape : tuple of int, optional
        ``(rows, columns)``. The smallest that fits by default.
    dtype : {float32, float64}, optional
        The type to convert elements to. Without it they must be float32 or float64.
    copy : bool, optional
        Copy arrays which could be used as they are.

    Attributes
    ----------
    shape : tuple of int
        ``(rows, columns)``.

    Raises
    ------
    ValueError, TypeError
        As for :class:`csr_array`.

    See Also
    --------
    csr_array : The same by rows.

    Notes
    -----
    It holds the csr_array of its transpose, which ``.T`` gives back. Products with it are transposed products of
    that; those with sparse arrays convert it to rows first, in O(elements + rows + columns).

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> a = mlopt.sparse.csr_array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
    >>> a.T
    <csc_array of float64, shape (3, 2), 3 stored elements>
    >>> a.T @ np.array([1.0, 10.0])
    array([ 1.,  0., 32.])
    >>> a.T.T is a
    True
    """

    __slots__ = ("_transpose",)
    __array_ufunc__ = None  # so that ndarray @ sparse is __rmatmul__
    _transpose: csr_array

    def __init__(self, arg: Any, shape: Any = None, *, dtype: Any = None, copy: bool = False) -> None:
        if isinstance(arg, csr_array | csc_array):
            given = arg.tocsc()._transpose
            if shape is not None and construct.checked_shape(shape) != arg.shape:
                raise ValueError(f"shape is {shape!r}, and arg has shape {arg.shape}; expected the same or None")
            self._transpose = csr_array(given, dtype=dtype, copy=copy)
            return
        sides = None if shape is None else construct.checked_shape(shape)[::-1]
        self._transpose = csr_array(swapped(arg), sides, dtype=dtype, copy=copy)

    @classmethod
    def of(cls, transpose: csr_array) -> csc_array:
        """The array whose transpose this csr_array is: a view.

        Parameters
        ----------
        transpose : csr_array
            The transpose.

        Returns
        -------
        csc_array
        """
        result = cls.__new__(cls)
        result._transpose = transpose
        return result

    @property
    def data(self) -> NDArray[Any]:
        """The elements, column by column."""
        return self._transpose.data

    @property
    def indices(self) -> NDArray[Any]:
        """The elements' rows."""
        return self._transpose.indices

    @property
    def indptr(self) -> NDArray[Any]:
        """Where each column starts."""
        return self._transpose.indptr

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self._transpose.shape
        return columns, rows

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._transpose.dtype

    @property
    def ndim(self) -> int:
        """2."""
        return 2

    @property
    def nnz(self) -> int:
        """The number of stored elements, zeros and duplicates among them."""
        return self._transpose.nnz

    @property
    def nbytes(self) -> int:
        """The bytes that the three arrays take."""
        return self._transpose.nbytes

    @property
    def density(self) -> float:
        """The share of elements that is stored; 0 where there are none."""
        return self._transpose.density

    @property
    def has_sorted_indices(self) -> bool:
        """Whether the rows of each column never fall."""
        return self._transpose.has_sorted_indices

    @property
    def has_canonical_format(self) -> bool:
        """Whether the rows of each column rise: they are sorted, and none is there twice."""
        return self._transpose.has_canonical_format

    @property
    def T(self) -> csr_array:
        """The transpose, a :class:`csr_array` of the same memory."""
        return self._transpose

    def transpose(self) -> csr_array:
        """The transpose, a :class:`csr_array` of the same memory."""
        return self._transpose

    def tocsr(self) -> csr_array:
        """The same matrix by rows: a copy, sorted. O(elements + rows + columns)."""
        return self._transpose.tocsc()._transpose

    def tocsc(self) -> csc_array:
        """The array itself."""
        return self

    def toarray(self, order: Literal["C", "F"] | None = None, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The dense array; parameters as for :meth:`csr_array.toarray`."""
        if out is not None:
            self._transpose.toarray(order, out.T if isinstance(out, np.ndarray) else out)
            return out
        if order is None or order == "C":
            return self._transpose.toarray("F").T
        return self._transpose.toarray("C" if order == "F" else order).T

    def todense(self, order: Literal["C", "F"] | None = None, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The dense array, as from :meth:`toarray`."""
        return self.toarray(order, out)

    def to_scipy(self, copy: bool = False) -> Any:
        """A :class:`scipy.sparse.csc_array` over the same memory, read-only, or over copies.

        Parameters
        ----------
        copy : bool, optional
            Over copies, which can be written to.
        """
        return construct.to_scipy("csc_array", (self.data, self.indices, self.indptr), self.shape, copy)

    def astype(self, dtype: Any) -> csc_array:
        """The array with elements of another type, float32 or float64."""
        return csc_array.of(self._transpose.astype(dtype))

    def copy(self) -> csc_array:
        """The same with arrays of its own."""
        return csc_array.of(self._transpose.copy())

    def sort_indices(self) -> csc_array:
        """The array with the rows of each column in order."""
        return csc_array.of(self._transpose.sort_indices())

    def sum_duplicates(self) -> csc_array:
        """The array sorted and with the elements of one place added up."""
        return csc_array.of(self._transpose.sum_duplicates())

    def eliminate_zeros(self) -> csc_array:
        """The array without stored zeros."""
        return csc_array.of(self._transpose.eliminate_zeros())

    def __getitem__(self, key: Any) -> Any:
        """``a[:, columns]``, by an integer, a slice or a vector of integers or booleans; ``a[i, j]``, an element."""
        if not isinstance(key, tuple) or len(key) != 2:
            raise IndexError("a csc_array is indexed as a[:, columns] or a[i, j]; use tocsr() for rows")
        result = self._transpose[key[1], key[0]]
        return csc_array.of(result) if isinstance(result, csr_array) else result

    def __mul__(self, other: Any) -> Any:
        return seen(self._transpose.__mul__(other))

    def __rmul__(self, other: Any) -> Any:
        return seen(self._transpose.__rmul__(other))

    def __truediv__(self, other: Any) -> Any:
        return seen(self._transpose.__truediv__(other))

    def __neg__(self) -> csc_array:
        return csc_array.of(-self._transpose)

    def __pos__(self) -> csc_array:
        return self

    def __abs__(self) -> csc_array:
        return csc_array.of(abs(self._transpose))

    def __add__(self, other: Any) -> Any:
        if isinstance(other, csc_array):
            return csc_array.of(self._transpose + other._transpose)
        return self.tocsr() + other

    def __radd__(self, other: Any) -> Any:
        return other + self.tocsr()

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, csc_array):
            return csc_array.of(self._transpose - other._transpose)
        return self.tocsr() - other

    def __rsub__(self, other: Any) -> Any:
        return other - self.tocsr()

    def __matmul__(self, other: Any) -> Any:
        """The product with a dense vector or matrix, which is dense, or with a sparse array, which is sparse."""
        if isinstance(other, csr_array | csc_array) or construct.is_scipy(other):
            return self.tocsr() @ other
        return products.matmul_transposed(self._transpose, other) if np.ndim(other) else NotImplemented

    def __rmatmul__(self, other: ArrayLike) -> Any:
        if construct.is_scipy(other):
            return other @ self.tocsr()
        left = np.asarray(other)
        if left.ndim == 0:
            return NotImplemented
        if left.ndim > 2:
            raise ValueError(f"a has {left.ndim} dimensions; expected 1 or 2")
        if left.shape[-1] != self.shape[0]:
            raise ValueError(
                f"a has shape {left.shape}: its last dimension does not match the {self.shape[0]} rows of b, "
                f"a sparse array of shape {self.shape}"
            )
        return products.matmul(self._transpose, left.T).T

    def __eq__(self, other: object) -> Any:
        return self._transpose.__eq__(other.T if isinstance(other, csc_array) else other)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise ValueError("the truth value of a csc_array is ambiguous; ask for nnz")

    def __reduce__(self) -> Any:
        return csc_array, ((self.data, self.indices, self.indptr), self.shape)

    def __repr__(self) -> str:
        return f"<csc_array of {self.dtype}, shape {self.shape}, {self.nnz} stored elements>"


def seen(result: Any) -> Any:
    return csc_array.of(result) if isinstance(result, csr_array) else result
