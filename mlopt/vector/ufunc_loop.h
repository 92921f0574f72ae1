/* NumPy inner loops over the register's elementwise kernels.
 *
 * A loop gets its kernel from the NpyAuxData that get_loop attaches, and get_loop runs with the GIL
 * at the start of every ufunc call: so the tier of the calling context is read once, at the door.
 * Contiguous operands go to the kernel as they are, a stride of 0 as a number; others are gathered
 * through buffers on the stack. */
#ifndef MLOPT_UFUNC_LOOP_H
#define MLOPT_UFUNC_LOOP_H

#include <Python.h>
#include <numpy/arrayobject.h>
#include <numpy/dtype_api.h>
#include <numpy/ufuncobject.h>

#include "dispatch.h"

#include <string.h>

#define MLOPT_UFUNC_MAX_OPERANDS 4
#define MLOPT_UFUNC_CHUNK 512

typedef void (*mlopt_any_kernel)(void);

/* What one (kernel, type, tier) needs at loop time; static for the life of the process. */
typedef struct mlopt_ufunc_aux {
    NpyAuxData base;
    mlopt_any_kernel kernel;
    mlopt_any_kernel sum; /* for add.reduce, else NULL */
    int nin;
    int is_f64;
} mlopt_ufunc_aux;

static void mlopt_aux_free(NpyAuxData *aux) { (void)aux; }
static NpyAuxData *mlopt_aux_clone(NpyAuxData *aux) { return aux; }

#define MLOPT_CALL_KERNEL(type, T)                                                                                     \
    static inline void mlopt_call_##type(const mlopt_ufunc_aux *aux, size_t n, char **p, const size_t *step)           \
    {                                                                                                                  \
        T **x = (T **)p;                                                                                               \
        if (aux->nin == 1)                                                                                             \
            ((mlopt_unary_##type *)aux->kernel)(n, x[0], x[1]);                                                        \
        else if (aux->nin == 2)                                                                                        \
            ((mlopt_binary_##type *)aux->kernel)(n, x[0], step[0], x[1], step[1], x[2]);                               \
        else                                                                                                           \
            ((mlopt_ternary_##type *)aux->kernel)(n, x[0], step[0], x[1], step[1], x[2], step[2], x[3]);               \
    }
MLOPT_CALL_KERNEL(f32, float)
MLOPT_CALL_KERNEL(f64, double)

static inline void mlopt_call(const mlopt_ufunc_aux *aux, size_t n, char **p, const size_t *step)
{
    if (aux->is_f64)
        mlopt_call_f64(aux, n, p, step);
    else
        mlopt_call_f32(aux, n, p, step);
}

/* Moves n elements of 4 or 8 bytes between strided and contiguous memory. */
static inline void mlopt_copy_strided(char *to, npy_intp to_stride, const char *from, npy_intp from_stride, size_t n,
                                      int is_f64)
{
    if (is_f64)
        for (size_t i = 0; i < n; i++)
            memcpy(to + (npy_intp)i * to_stride, from + (npy_intp)i * from_stride, 8);
    else
        for (size_t i = 0; i < n; i++)
            memcpy(to + (npy_intp)i * to_stride, from + (npy_intp)i * from_stride, 4);
}

/* Whether an operand shares memory with the output without being the same elements: then only the
 * order of one element after the other is what NumPy promises (accumulate relies on it). */
static inline int mlopt_shifted_overlap(const char *input, npy_intp stride, const char *out, npy_intp out_stride,
                                        size_t n, npy_intp itemsize)
{
    if (input == out && stride == out_stride)
        return 0;
    const npy_intp extent = (npy_intp)(n - 1) * stride, out_extent = (npy_intp)(n - 1) * out_stride;
    const char *low = extent < 0 ? input + extent : input, *high = (extent < 0 ? input : input + extent) + itemsize;
    const char *out_low = out_extent < 0 ? out + out_extent : out;
    const char *out_high = (out_extent < 0 ? out : out + out_extent) + itemsize;
    return low < out_high && out_low < high;
}

static void mlopt_one_by_one(const mlopt_ufunc_aux *aux, size_t n, char *const *data, const npy_intp *strides)
{
    static const size_t ones[MLOPT_UFUNC_MAX_OPERANDS] = {1, 1, 1, 1};
    for (size_t i = 0; i < n; i++) {
        char *p[MLOPT_UFUNC_MAX_OPERANDS];
        for (int j = 0; j <= aux->nin; j++)
            p[j] = data[j] + (npy_intp)i * strides[j];
        mlopt_call(aux, 1, p, ones);
    }
}

/* out = out op b[0] op b[1] ...: what ufunc.reduce asks for with an output stride of 0. */
static void mlopt_reduce_loop(const mlopt_ufunc_aux *aux, size_t n, char *const *data, const npy_intp *strides)
{
    const npy_intp itemsize = aux->is_f64 ? 8 : 4;
    if (aux->sum && strides[1] == itemsize && n > 1) {
        if (aux->is_f64)
            *(double *)data[2] += ((mlopt_reduce_f64 *)aux->sum)(n, (const double *)data[1]);
        else
            *(float *)data[2] += ((mlopt_reduce_f32 *)aux->sum)(n, (const float *)data[1]);
        return;
    }
    mlopt_one_by_one(aux, n, data, strides);
}

static int mlopt_strided_loop(PyArrayMethod_Context *context, char *const *data, npy_intp const *dimensions,
                              npy_intp const *strides, NpyAuxData *auxdata)
{
    const mlopt_ufunc_aux *aux = (const mlopt_ufunc_aux *)auxdata;
    const size_t n = (size_t)dimensions[0];
    const int nin = aux->nin, is_f64 = aux->is_f64;
    const npy_intp itemsize = is_f64 ? 8 : 4;
    char *p[MLOPT_UFUNC_MAX_OPERANDS];
    size_t step[MLOPT_UFUNC_MAX_OPERANDS];
    int gathered = 0;
    (void)context;

    if (nin == 2 && strides[2] == 0 && strides[0] == 0 && data[0] == data[2]) {
        mlopt_reduce_loop(aux, n, data, strides);
        return 0;
    }
    for (int i = 0; i < nin; i++)
        if (n > 1 && mlopt_shifted_overlap(data[i], strides[i], data[nin], strides[nin], n, itemsize)) {
            mlopt_one_by_one(aux, n, data, strides);
            return 0;
        }
    for (int i = 0; i <= nin; i++) {
        p[i] = data[i];
        step[i] = 1;
        if (strides[i] == 0 && i < nin && nin > 1)
            step[i] = 0;
        else if (strides[i] != itemsize && n > 1)
            gathered |= 1 << i;
    }
    if (!gathered) {
        mlopt_call(aux, n, p, step);
        return 0;
    }
    double buffers[MLOPT_UFUNC_MAX_OPERANDS][MLOPT_UFUNC_CHUNK];
    for (size_t done = 0; done < n; done += MLOPT_UFUNC_CHUNK) {
        const size_t chunk = n - done < MLOPT_UFUNC_CHUNK ? n - done : MLOPT_UFUNC_CHUNK;
        for (int i = 0; i <= nin; i++) {
            char *at = data[i] + (npy_intp)done * strides[i];
            p[i] = gathered & (1 << i) ? (char *)buffers[i] : at;
            if (gathered & (1 << i) && i < nin)
                mlopt_copy_strided(p[i], itemsize, at, strides[i], chunk, is_f64);
        }
        mlopt_call(aux, chunk, p, step);
        if (gathered & (1 << nin))
            mlopt_copy_strided(data[nin] + (npy_intp)done * strides[nin], strides[nin], p[nin], itemsize, chunk,
                               is_f64);
    }
    return 0;
}

#endif
