#include "recursion.h"

/* Bytes of sums that are worth a second thread. */
#define SPLIT_BYTES ((size_t)4 << 20)

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

/* Elements between the rows of a temporary: whole cache lines, and rows must not be a power of two apart. */
static size_t row_length(size_t element_bytes, size_t columns)
{
    const size_t line = 64 / element_bytes, length = (columns + line - 1) / line * line;
    return length * element_bytes % 512 ? length : length + line;
}

/* Elements of a temporary, whichever way it lies. */
static size_t temporary(size_t element_bytes, size_t rows, size_t columns)
{
    return most(rows * row_length(element_bytes, columns), columns * row_length(element_bytes, rows));
}

/* Elements of X, Y and Z of one step; m, n and k are the sides of the quadrants. */
typedef struct temporaries {
    size_t x, y, z;
} temporaries;

static temporaries temporaries_of(size_t element_bytes, size_t m, size_t n, size_t k)
{
    const size_t z = temporary(element_bytes, m, n);
    return (temporaries){most(temporary(element_bytes, m, k), z), most(temporary(element_bytes, k, n), z), z};
}

int mlopt_strassen_levels(size_t m, size_t n, size_t k, int limit, size_t cutoff)
{
    int levels = 0;
    for (; levels < limit && m > cutoff && n > cutoff && k > cutoff && m > 1 && n > 1 && k > 1; levels++)
        m /= 2, n /= 2, k /= 2;
    return levels;
}

size_t mlopt_strassen_workspace_bytes(size_t element_bytes, size_t m, size_t n, size_t k, int levels)
{
    size_t elements = 0;
    for (int level = 1; level <= levels; level++) {
        const temporaries t = temporaries_of(element_bytes, m >> level, n >> level, k >> level);
        elements += t.x + t.y + t.z;
    }
    return elements * element_bytes;
}

#define T float
#define TYPED(name) name##_f32
#include "recursion_body.h"
#undef T
#undef TYPED

#define T double
#define TYPED(name) name##_f64
#include "recursion_body.h"
