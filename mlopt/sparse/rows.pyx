"""What is done to compressed rows one after the other: sorting, merging, choosing, adding, spreading out.

Arrays go in and new arrays come out; what the arrays hold was checked before.
"""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

cnp.import_array()

ctypedef fused value_t:
    float
    double

ctypedef fused index_t:
    int32_t
    int64_t

cdef enum:
    FEW = 32       # elements of a row up to which it is sorted by insertion
    DIGITS = 256   # longer ones by counting the bytes of their indices


cdef void insertion_sort(index_t *indices, value_t *data, size_t n) noexcept nogil:
    cdef size_t i, k
    cdef index_t index
    cdef value_t value
    for i in range(1, n):
        index, value, k = indices[i], data[i], i
        while k > 0 and indices[k - 1] > index:
            indices[k], data[k] = indices[k - 1], data[k - 1]
            k -= 1
        indices[k], data[k] = index, value


# Sorts by index; equal indices keep their order.  The spare arrays have the same length.
cdef void sort_row(index_t *indices, value_t *data, size_t n, index_t *spare_indices,
                   value_t *spare_data) noexcept nogil:
    cdef size_t k, at, count, digit, shift = 0
    cdef index_t differing = 0
    cdef index_t *from_indices = indices
    cdef value_t *from_data = data
    cdef index_t *to_indices = spare_indices
    cdef value_t *to_data = spare_data
    cdef size_t[DIGITS] places
    if n <= FEW:
        insertion_sort(indices, data, n)
        return
    for k in range(n):
        differing |= indices[k] ^ indices[0]
    while shift < 8 * sizeof(index_t) and differing >> shift:
        if (differing >> shift) & (DIGITS - 1):
            memset(places, 0, sizeof(places))
            for k in range(n):
                places[(from_indices[k] >> shift) & (DIGITS - 1)] += 1
            at = 0
            for digit in range(DIGITS):
                count = places[digit]
                places[digit] = at
                at += count
            for k in range(n):
                digit = (from_indices[k] >> shift) & (DIGITS - 1)
                at = places[digit]
                places[digit] = at + 1
                to_indices[at], to_data[at] = from_indices[k], from_data[k]
            from_indices, to_indices = to_indices, from_indices
            from_data, to_data = to_data, from_data
        shift += 8
    if from_indices != indices:
        memcpy(indices, from_indices, n * sizeof(index_t))
        memcpy(data, from_data, n * sizeof(value_t))


def sort(const value_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr):
    """(data, indices) with each row sorted; equal indices keep their order."""
    cdef cnp.ndarray new_data = np.array(data), new_indices = np.array(indices)
    cdef value_t *values = <value_t *>cnp.PyArray_DATA(new_data)
    cdef index_t *columns = <index_t *>cnp.PyArray_DATA(new_indices)
    cdef size_t i, k, start, end, longest = 0, rows = indptr.shape[0] - 1
    for i in range(rows):
        longest = max(longest, <size_t>(indptr[i + 1] - indptr[i]))
    cdef cnp.ndarray spare_data = np.empty(longest, new_data.dtype)
    cdef cnp.ndarray spare_indices = np.empty(longest, new_indices.dtype)
    cdef value_t *spare_values = <value_t *>cnp.PyArray_DATA(spare_data)
    cdef index_t *spare_columns = <index_t *>cnp.PyArray_DATA(spare_indices)
    with nogil:
        for i in range(rows):
            start, end = indptr[i], indptr[i + 1]
            k = start + 1
            while k < end and columns[k - 1] <= columns[k]:
                k += 1
            if k < end:
                sort_row(columns + start, values + start, end - start, spare_columns, spare_values)
    return new_data, new_indices


def merge_duplicates(const value_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr):
    """(data, indices, indptr) of sorted rows with the elements of one column added up, in their order."""
    cdef size_t i, k, at, rows = indptr.shape[0] - 1
    new_indptr = np.empty(rows + 1, np.asarray(indptr).dtype)
    cdef index_t[::1] starts = new_indptr
    with nogil:
        at = 0
        for i in range(rows):
            starts[i] = at
            for k in range(indptr[i], indptr[i + 1]):
                at += k == <size_t>indptr[i] or indices[k] != indices[k - 1]
        starts[rows] = at
    new_data, new_indices = np.empty(at, np.asarray(data).dtype), np.empty(at, new_indptr.dtype)
    cdef value_t[::1] values = new_data
    cdef index_t[::1] columns = new_indices
    with nogil:
        at = 0
        for i in range(rows):
            for k in range(indptr[i], indptr[i + 1]):
                if k == <size_t>indptr[i] or indices[k] != indices[k - 1]:
                    values[at], columns[at] = data[k], indices[k]
                    at += 1
                else:
                    values[at - 1] += data[k]
    return new_data, new_indices, new_indptr


def drop_zeros(const value_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr):
    """(data, indices, indptr) without the elements that are zero."""
    cdef size_t i, k, at, rows = indptr.shape[0] - 1
    new_indptr = np.empty(rows + 1, np.asarray(indptr).dtype)
    count = np.count_nonzero(data)
    new_data, new_indices = np.empty(count, np.asarray(data).dtype), np.empty(count, new_indptr.dtype)
    cdef index_t[::1] starts = new_indptr, columns = new_indices
    cdef value_t[::1] values = new_data
    with nogil:
        at = 0
        for i in range(rows):
            starts[i] = at
            for k in range(indptr[i], indptr[i + 1]):
                if data[k] != 0:
                    values[at], columns[at] = data[k], indices[k]
                    at += 1
        starts[rows] = at
    return new_data, new_indices, new_indptr


def choose(const value_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const int64_t[::1] rows):
    """(data, indices, indptr) of some rows, in the order given."""
    cdef size_t i, at, length, count = rows.shape[0], total = 0
    for i in range(count):
        total += indptr[rows[i] + 1] - indptr[rows[i]]
    if sizeof(index_t) == 4 and total > 0x7fffffff:
        return choose(np.asarray(data), np.asarray(indices, np.int64), np.asarray(indptr, np.int64), np.asarray(rows))
    new_indptr = np.empty(count + 1, np.asarray(indptr).dtype)
    new_data, new_indices = np.empty(total, np.asarray(data).dtype), np.empty(total, new_indptr.dtype)
    cdef index_t[::1] starts = new_indptr, columns = new_indices
    cdef value_t[::1] values = new_data
    with nogil:
        at = 0
        for i in range(count):
            starts[i] = at
            length = indptr[rows[i] + 1] - indptr[rows[i]]
            if length:
                memcpy(&values[at], &data[indptr[rows[i]]], length * sizeof(value_t))
                memcpy(&columns[at], &indices[indptr[rows[i]]], length * sizeof(index_t))
            at += length
        starts[count] = at
    return new_data, new_indices, new_indptr


def compress(const value_t[::1] data, const index_t[::1] row, const index_t[::1] column, size_t rows):
    """(data, indices, indptr) of elements given by coordinates: a counting sort, which keeps the order in a row."""
    cdef size_t i, k, count = data.shape[0]
    cdef index_t at, length
    new_indptr = np.zeros(rows + 1, np.asarray(row).dtype)
    new_data, new_indices = np.empty(count, np.asarray(data).dtype), np.empty(count, new_indptr.dtype)
    cdef index_t[::1] ends = new_indptr, columns = new_indices
    cdef value_t[::1] values = new_data
    with nogil:
        # each entry counts its row; then it is where the row starts; behind the last element, where the next starts
        for k in range(count):
            ends[row[k]] += 1
        at = 0
        for i in range(rows + 1):
            length = ends[i]
            ends[i] = at
            at += length
        for k in range(count):
            at = ends[row[k]]
            values[at], columns[at] = data[k], column[k]
            ends[row[k]] = at + 1
        for i in range(rows, 0, -1):
            ends[i] = ends[i - 1]
        ends[0] = 0
    return new_data, new_indices, new_indptr


def add(const value_t[::1] a_data, const index_t[::1] a_indices, const index_t[::1] a_indptr,
        const value_t[::1] b_data, const index_t[::1] b_indices, const index_t[::1] b_indptr, double factor):
    """(data, indices, indptr) of a + factor b, for rows that rise; what is in either stays, be the sum zero.

    There is room for the elements of both in the type of the indices.
    """
    cdef size_t i, k, l, k_end, l_end, at, rows = a_indptr.shape[0] - 1
    new_indptr = np.empty(rows + 1, np.asarray(a_indptr).dtype)
    cdef index_t[::1] starts = new_indptr
    with nogil:
        at = 0
        for i in range(rows):
            starts[i] = at
            k, k_end, l, l_end = a_indptr[i], a_indptr[i + 1], b_indptr[i], b_indptr[i + 1]
            at += (k_end - k) + (l_end - l)
            while k < k_end and l < l_end:
                at -= a_indices[k] == b_indices[l]
                if a_indices[k] <= b_indices[l]:
                    l += a_indices[k] == b_indices[l]
                    k += 1
                else:
                    l += 1
        starts[rows] = at
    new_data, new_indices = np.empty(at, np.asarray(a_data).dtype), np.empty(at, new_indptr.dtype)
    cdef index_t[::1] columns = new_indices
    cdef value_t[::1] values = new_data
    cdef value_t scale = <value_t>factor
    with nogil:
        at = 0
        for i in range(rows):
            k, k_end, l, l_end = a_indptr[i], a_indptr[i + 1], b_indptr[i], b_indptr[i + 1]
            while k < k_end or l < l_end:
                if l == l_end or (k < k_end and a_indices[k] < b_indices[l]):
                    values[at], columns[at] = a_data[k], a_indices[k]
                    k += 1
                elif k == k_end or b_indices[l] < a_indices[k]:
                    values[at], columns[at] = scale * b_data[l], b_indices[l]
                    l += 1
                else:
                    values[at], columns[at] = a_data[k] + scale * b_data[l], a_indices[k]
                    k += 1
                    l += 1
                at += 1
    return new_data, new_indices, new_indptr


def spread(const value_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, value_t[:, :] out):
    """Adds every element to its place of a dense array."""
    cdef size_t i, k
    with nogil:
        for i in range(<size_t>(indptr.shape[0] - 1)):
            for k in range(indptr[i], indptr[i + 1]):
                out[i, indices[k]] += data[k]


__all__ = ["add", "choose", "compress", "drop_zeros", "merge_duplicates", "sort", "spread"]
