#include "slices.h"

#include <string.h>

static size_t row_start(const mlopt_csr *a, int index_bytes, size_t i)
{
    return index_bytes == 4 ? (size_t)((const int32_t *)a->indptr)[i] : (size_t)((const int64_t *)a->indptr)[i];
}

static size_t row_length(const mlopt_csr *a, int index_bytes, size_t i)
{
    return row_start(a, index_bytes, i + 1) - row_start(a, index_bytes, i);
}

static size_t lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

void mlopt_slices_count(const mlopt_csr *a, int index_bytes, size_t *rows, size_t *elements)
{
    *rows = *elements = 0;
    for (size_t i = 0; i < a->rows; i++) {
        const size_t length = row_length(a, index_bytes, i);
        if (length < MLOPT_SPARSE_LONG_ROW) {
            ++*rows;
            *elements += length;
        }
    }
}

size_t mlopt_slices_bytes(size_t rows, size_t elements, size_t element_bytes)
{
    const size_t slices = rows / MLOPT_SPARSE_SLICE(element_bytes) + 1;
    return lines((slices + 1) * sizeof(size_t)) + lines(slices * sizeof(int32_t)) + 2 * lines(rows * sizeof(int32_t)) +
           lines(elements * sizeof(int32_t)) + lines(elements * element_bytes);
}

/* Short rows [first, last) of `row` by falling length, those of the same length in their order. */
static void sort_window(const mlopt_csr *a, int index_bytes, size_t count, int32_t *row, int32_t *sorted)
{
    size_t place[MLOPT_SPARSE_LONG_ROW + 1] = {0};
    for (size_t i = 0; i < count; i++)
        place[MLOPT_SPARSE_LONG_ROW - 1 - row_length(a, index_bytes, (size_t)row[i])]++;
    for (size_t length = 0, at = 0; length < MLOPT_SPARSE_LONG_ROW; length++) {
        const size_t here = place[length];
        place[length] = at;
        at += here;
    }
    for (size_t i = 0; i < count; i++)
        sorted[place[MLOPT_SPARSE_LONG_ROW - 1 - row_length(a, index_bytes, (size_t)row[i])]++] = row[i];
    memcpy(row, sorted, count * sizeof *row);
}

/* One element of A to place `to` of the form. */
static void copy_element(const mlopt_csr *a, int index_bytes, size_t element_bytes, size_t from, int32_t *columns,
                         char *values, size_t to)
{
    columns[to] = index_bytes == 4 ? ((const int32_t *)a->indices)[from] : (int32_t)((const int64_t *)a->indices)[from];
    if (element_bytes == 4)
        memcpy(values + to * 4, (const char *)a->values + from * 4, 4);
    else
        memcpy(values + to * 8, (const char *)a->values + from * 8, 8);
}

mlopt_sell mlopt_slices_make(const mlopt_csr *a, int index_bytes, size_t element_bytes, size_t rows, size_t elements,
                             void *block, int64_t *long_rows)
{
    const size_t slice = MLOPT_SPARSE_SLICE(element_bytes), slices = (rows + slice - 1) / slice;
    char *at = block;
    size_t *const start = (size_t *)(void *)at;
    int32_t *const full = (int32_t *)(void *)(at += lines((slices + 1) * sizeof(size_t)));
    int32_t *const row = (int32_t *)(void *)(at += lines(slices * sizeof(int32_t)));
    int32_t *const rest = (int32_t *)(void *)(at += lines(rows * sizeof(int32_t)));
    int32_t *const columns = (int32_t *)(void *)(at += lines(rows * sizeof(int32_t)));
    char *const values = at + lines(elements * sizeof(int32_t));
    size_t count = 0, apart = 0;
    for (size_t i = 0; i < a->rows; i++)
        if (row_length(a, index_bytes, i) < MLOPT_SPARSE_LONG_ROW)
            row[count++] = (int32_t)i;
        else
            long_rows[apart++] = (int64_t)i;
    for (size_t first = 0; first < rows; first += MLOPT_SPARSE_WINDOW) {
        const size_t window = rows - first < MLOPT_SPARSE_WINDOW ? rows - first : MLOPT_SPARSE_WINDOW;
        sort_window(a, index_bytes, window, row + first, rest + first); /* rest is scratch until it is filled below */
    }
    size_t to = 0;
    for (size_t s = 0; s < slices; s++) {
        const size_t first = s * slice, last = first + slice < rows ? first + slice : rows;
        /* the shortest is the last; a slice that is not whole has no common part */
        const size_t common = last - first < slice ? 0 : row_length(a, index_bytes, (size_t)row[last - 1]);
        start[s] = to;
        full[s] = (int32_t)common;
        for (size_t i = first; i < last; i++)
            for (size_t k = 0; k < common; k++)
                copy_element(a, index_bytes, element_bytes, row_start(a, index_bytes, (size_t)row[i]) + k, columns,
                             values, to + k * slice + i - first);
        to += common * slice;
        for (size_t i = first; i < last; i++) {
            const size_t from = row_start(a, index_bytes, (size_t)row[i]),
                         length = row_length(a, index_bytes, (size_t)row[i]);
            rest[i] = (int32_t)(length - common);
            for (size_t k = common; k < length; k++)
                copy_element(a, index_bytes, element_bytes, from + k, columns, values, to++);
        }
    }
    start[slices] = to;
    return (mlopt_sell){rows, slices, start, full, row, rest, columns, values};
}
