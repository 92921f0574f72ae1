"""Products that find out by themselves that an operand is sparse, and those that are told so."""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport uint64_t

from mlopt.linalg.operands cimport fits

from mlopt.sparse.construct import is_scipy
from mlopt.sparse.csc import csc_array
from mlopt.sparse.csr import csr_array, product
from mlopt.sparse.dense import all_finite, count_nonzero, nonzero_rows
from mlopt.sparse.products import matmul as multiply
from mlopt.sparse.products import matmul_transposed, transposed_copy

cnp.import_array()

# Elements looked at: so many at first, and so many more at most where that leaves it open.
cdef enum:
    FIRST_LOOK = 64
    SECOND_LOOK = 1024
# Nanoseconds that a look at an element takes, and the share of the dense product's time for the second look.
cdef double LOOK = 60
cdef double LOOK_SHARE = 0.006
# The model of both products, in nanoseconds on one core of a Zen 5; only ratios matter. (float32, float64)
cdef double[2] DENSE = [0.0080, 0.0158]    # a multiplication of the blocked product
cdef double[2] READ = [0.055, 0.11]        # an element of the operand that is searched for zeros
cdef double[2] STORE = [10, 11]            # one that is not 0: found, stored, and walked over
cdef double[2] MULTIPLY = [0.045, 0.1]     # one of those, times an element of the other operand
cdef double[2] CHECK = [0.1, 0.2]          # an element of the other operand: whether it is finite; one of the result
cdef double[2] TRANSPOSE = [0.6, 1.3]      # an element that changes from rows to columns
# It must promise to be so much faster.
cdef double MARGIN = 1.5
# What the search may cost at most where it turns out to have been in vain.
cdef double SEARCH_SHARE = 0.015


# A number for every number: splitmix64 (Steele, Lea, Flood 2014).
cdef uint64_t scattered(uint64_t i) noexcept nogil:
    cdef uint64_t z = (i + 1) * <uint64_t>0x9e3779b97f4a7c15
    z = (z ^ (z >> 30)) * <uint64_t>0xbf58476d1ce4e5b9
    z = (z ^ (z >> 27)) * <uint64_t>0x94d049bb133111eb
    return z ^ (z >> 31)


# How many of the elements [first, last) of a series of random places are not 0.
cdef size_t look(cnp.ndarray x, size_t first, size_t last) noexcept:
    cdef const char *at = <const char *>cnp.PyArray_DATA(x)
    cdef size_t rows = cnp.PyArray_DIM(x, 0), columns = cnp.PyArray_DIM(x, 1), i, count = 0
    cdef ptrdiff_t row = cnp.PyArray_STRIDE(x, 0), column = cnp.PyArray_STRIDE(x, 1)
    cdef bint is_f64 = cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE
    cdef uint64_t number
    cdef const char *place
    for i in range(first, last):
        number = scattered(i)
        place = at + <ptrdiff_t>((number & 0xffffffff) * rows >> 32) * row
        place += <ptrdiff_t>((number >> 32) * columns >> 32) * column
        count += (<const double *>place)[0] != 0 if is_f64 else (<const float *>place)[0] != 0
    return count


# What the product takes with the operand of `elements` elements by compressed rows, where the other has `vectors`.
cdef double model(bint is_f64, double elements, double density, double vectors, double other, double result,
                  bint is_right) noexcept:
    cdef double stored = density * elements
    cdef double time = (READ[is_f64] * elements + STORE[is_f64] * stored + MULTIPLY[is_f64] * stored * vectors
                        + CHECK[is_f64] * (other + result))
    return time + TRANSPOSE[is_f64] * (other + result) if is_right else time


# The share of elements that are not 0, if it is so low that compressed rows pay; else 1.  The first look ends the
# matter where they would not even with two standard deviations less; the estimate has two on top.
cdef double sparse_density(cnp.ndarray x, cnp.ndarray other, double vectors, double result, double dense,
                           bint is_right) noexcept:
    cdef bint is_f64 = cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE
    cdef double elements = cnp.PyArray_SIZE(x), others = cnp.PyArray_SIZE(other), share
    cdef size_t found, more
    if model(is_f64, elements, 0, vectors, others, result, is_right) * MARGIN > dense:
        return 1
    if CHECK[is_f64] * others > SEARCH_SHARE * dense:
        return 1
    found = look(x, 0, FIRST_LOOK)
    share = max(0.0, found - 2 * found ** 0.5) / FIRST_LOOK
    if model(is_f64, elements, share, vectors, others, result, is_right) * MARGIN > dense:
        return 1
    more = <size_t>min(<double>SECOND_LOOK, LOOK_SHARE * dense / LOOK)
    found += look(x, FIRST_LOOK, FIRST_LOOK + more)
    share = (found + 2 * (found + 1.0) ** 0.5) / (FIRST_LOOK + more)
    if model(is_f64, elements, share, vectors, others, result, is_right) * MARGIN > dense:
        return 1
    return share


# Whether NumPy's rules for `out` ask for nothing more than to store the result.
cdef bint takes(out, cnp.ndarray a, double m, double n) except -1:
    if out is None:
        return True
    return (cnp.PyArray_CheckExact(out) and out.shape == (m, n) and out.dtype == a.dtype and out.flags.writeable)


def detected_product(cnp.ndarray a not None, cnp.ndarray b not None, out=None, num_threads=None):
    """The product of two dense matrices, where one is found to be so sparse that compressed rows pay.

    Parameters
    ----------
    a, b : ndarray, shapes (m, k) and (k, n)
        Both float32, or both float64.
    out : ndarray, optional
        As for :func:`mlopt.matmul`.
    num_threads : int, optional
        At most so many threads.

    Returns
    -------
    ndarray or None
        None where they do not pay, or the other operand is not finite.
    """
    cdef double m = cnp.PyArray_DIM(a, 0), k = cnp.PyArray_DIM(a, 1), n = cnp.PyArray_DIM(b, 1), share
    cdef double dense = m * k * n
    if cnp.PyArray_DIM(b, 0) != k or not fits(a) or not fits(b) or not takes(out, a, m, n):
        return None
    dense *= DENSE[cnp.PyArray_TYPE(a) == cnp.NPY_DOUBLE]
    share = sparse_density(a, b, n, m * n, dense, False)
    if share < 1:
        if not all_finite(b):
            return None
        return multiply(compressed(a, share), b, out, num_threads)
    share = sparse_density(b, a, m, m * n, dense, True)
    if share < 1:
        if not all_finite(a):
            return None
        return times_rows(a, compressed(b, share), out, num_threads)
    return None


# A dense matrix that is expected to have a share of elements that are not 0.
cdef object compressed(cnp.ndarray x, double share):
    return csr_array(nonzero_rows(x, <size_t>(share * cnp.PyArray_SIZE(x))), (<object>x).shape)


# dense @ a, by the transposed product.
cdef object times_rows(left, a, out, num_threads):
    return transposed_copy(matmul_transposed(a, left.T, None, num_threads), out)


cdef bint is_sparse(x):
    return isinstance(x, (csr_array, csc_array)) or is_scipy(x)


# csr_array and csc_array as they are, SciPy's other forms by rows.
cdef object own(x):
    if isinstance(x, (csr_array, csc_array)):
        return x
    return csc_array(x) if x.format == "csc" else csr_array(x)


cdef object dense_operand(x, name):
    result = np.asarray(x)
    if result.ndim not in (1, 2):
        raise ValueError(f"{name} has {result.ndim} dimensions; expected 1 or 2 for method='sparse'")
    if result.dtype.kind not in "biuf":
        raise TypeError(f"{name} has elements of type {result.dtype}; expected real numbers for method='sparse'")
    return result


# A matrix as a sparse one; its type is one that sparse arrays have.
cdef object sparse_operand(x):
    real = np.result_type(x.dtype, np.float32)
    return csr_array(x.astype(real if real in (np.float32, np.float64) else np.float64, copy=False))


def sparse_product(a, b, out=None, num_threads=None, method="auto"):
    """The product of operands of which one is sparse, or is to be taken as sparse.

    Parameters
    ----------
    a, b : csr_array, csc_array, SciPy sparse array or array_like
        Vectors and matrices.
    out : ndarray, optional
        As for :func:`mlopt.matmul`; not for two sparse operands.
    num_threads : int, optional
        At most so many threads.
    method : {"auto", "sparse", "gemm", "strassen"}
        ``"sparse"``: the sparser of two dense operands is taken by compressed rows.

    Returns
    -------
    ndarray, csr_array or None
        None where neither is sparse, and it was not asked for.

    Raises
    ------
    ValueError
        If shapes do not fit, or the method is one for dense operands.
    TypeError
        If an operand has other than real numbers.
    """
    left, right = is_sparse(a), is_sparse(b)
    if not left and not right:
        if method != "sparse":
            return None
        a, b = dense_operand(a, "a"), dense_operand(b, "b")
        if a.ndim < 2 and b.ndim < 2:
            raise ValueError("a and b are vectors; expected a matrix among them for method='sparse'")
        if b.ndim < 2 or (a.ndim == 2 and share_of(a) <= share_of(b)):
            a, left = sparse_operand(a), True
        else:
            b, right = sparse_operand(b), True
    elif method not in ("auto", "sparse"):
        raise ValueError(f"method={method!r} is given, and {'a' if left else 'b'} is sparse; expected 'auto' or "
                         "'sparse'")
    if left and right:
        if out is not None:
            raise ValueError("out is given, and both operands are sparse; expected None: the product is sparse too")
        return product(own(a).tocsr(), own(b).tocsr(), num_threads)
    if left:
        a = own(a)
        if isinstance(a, csc_array):
            return matmul_transposed(a.T, b, out, num_threads)
        return multiply(a, b, out, num_threads)
    b, a = own(b), dense_operand(a, "a")
    if a.shape[a.ndim - 1] != b.shape[0]:
        raise ValueError(f"a has shape {a.shape}: its last dimension does not match the {b.shape[0]} rows of b, "
                         f"a sparse array of shape {b.shape}")
    if a.ndim == 1:
        if isinstance(b, csc_array):
            return multiply(b.T, a, out, num_threads)
        return matmul_transposed(b, a, out, num_threads)
    if isinstance(b, csc_array):
        return transposed_copy(multiply(b.T, a.T, None, num_threads), out)
    return times_rows(a, b, out, num_threads)


cdef double share_of(x) except -1:
    return count_nonzero(x) / (x.size or 1)


__all__ = ["detected_product", "sparse_product"]
