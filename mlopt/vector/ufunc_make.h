/* Creates the ufuncs: this library's loops for float32 and float64, NumPy's own for the rest.
 *
 * NumPy registers every row of a ufunc's type table as a loop when the ufunc is created, and refuses
 * a second loop for the same types.  So the ufunc is created from NumPy's rows without float32 and
 * float64, gets loops with get_loop for these two, and is then shown the whole table, which is what
 * promotion searches. */
#ifndef MLOPT_UFUNC_MAKE_H
#define MLOPT_UFUNC_MAKE_H

#include "ufunc_loop.h"

/* Set once by the module: the dispatcher's current_table. */
static const mlopt_kernels *(*mlopt_ufunc_table)(void);

/* The loops of one ufunc, by [tier][is_f64]; hangs on PyUFuncObject.ptr, which owns it. */
typedef mlopt_ufunc_aux mlopt_ufunc_loops[MLOPT_TIER_COUNT][2];

static int mlopt_get_loop(PyArrayMethod_Context *context, int aligned, int move_references, const npy_intp *strides,
                          PyArrayMethod_StridedLoop **out_loop, NpyAuxData **out_aux, NPY_ARRAYMETHOD_FLAGS *flags)
{
    (void)aligned, (void)move_references, (void)strides;
    const mlopt_kernels *table = mlopt_ufunc_table();
    if (!table)
        return -1;
    mlopt_ufunc_loops *loops = ((PyUFuncObject *)context->caller)->ptr;
    *out_loop = mlopt_strided_loop;
    *out_aux = &(*loops)[table->tier][context->descriptors[0]->type_num == NPY_DOUBLE].base;
    *flags = 0;
    return 0;
}

static int mlopt_add_loop(PyObject *ufunc, int nin, PyArray_DTypeMeta *dtype, int flags)
{
    PyArray_DTypeMeta *dtypes[MLOPT_UFUNC_MAX_OPERANDS];
    for (int i = 0; i <= nin; i++)
        dtypes[i] = dtype;
    PyType_Slot slots[] = {
        {NPY_METH_get_loop, (void *)mlopt_get_loop},
        {NPY_METH_strided_loop, (void *)mlopt_strided_loop}, /* asked for, never used beside get_loop */
        {0, NULL},
    };
    PyArrayMethod_Spec spec = {
        .name = "mlopt",
        .nin = nin,
        .nout = 1,
        .casting = NPY_NO_CASTING,
        .flags = flags,
        .dtypes = dtypes,
        .slots = slots,
    };
    return PyUFunc_AddLoopFromSpec(ufunc, &spec);
}

/* Stands in the table's float rows, where promotion reads types and nothing is ever called. */
static void mlopt_never_called(char **args, npy_intp const *dimensions, npy_intp const *steps, void *data)
{
    (void)args, (void)dimensions, (void)steps, (void)data;
}

/* A new reference, or NULL with an exception set.  like is NumPy's ufunc of the same name or None;
 * name and doc must live as long as the process. */
static PyObject *mlopt_make_ufunc(const char *name, const char *doc, int nin, PyObject *like, mlopt_ufunc_loops *loops)
{
    const PyUFuncObject *model = like == Py_None ? NULL : (const PyUFuncObject *)like;
    const int rows = model ? model->ntypes : 2, nargs = nin + 1;
    /* own rows first while creating; the full table behind them */
    PyUFuncGenericFunction *functions = PyMem_Calloc(2 * (size_t)rows, sizeof *functions);
    void **data = PyMem_Calloc(2 * (size_t)rows, sizeof *data);
    char *types = PyMem_Calloc(2 * (size_t)rows * (size_t)nargs, 1);
    if (!functions || !data || !types) {
        PyMem_Free(functions);
        PyMem_Free(data);
        PyMem_Free(types);
        return PyErr_NoMemory();
    }
    int kept = 0;
    for (int row = 0; row < rows; row++) {
        char *full = types + (rows + row) * nargs;
        if (model) {
            memcpy(full, model->types + row * nargs, (size_t)nargs);
            functions[rows + row] = model->functions[row];
            data[rows + row] = model->data[row];
        } else {
            memset(full, row ? NPY_DOUBLE : NPY_FLOAT, (size_t)nargs);
            functions[rows + row] = mlopt_never_called;
        }
        int ours = full[0] == NPY_FLOAT || full[0] == NPY_DOUBLE;
        for (int i = 1; i < nargs; i++)
            ours &= full[i] == full[0];
        if (ours)
            continue;
        memcpy(types + kept * nargs, full, (size_t)nargs);
        functions[kept] = functions[rows + row];
        data[kept++] = data[rows + row];
    }
    PyObject *ufunc = PyUFunc_FromFuncAndDataAndSignatureAndIdentity(functions, data, types, kept, nin, 1,
                                                                     model ? model->identity : PyUFunc_None, name, doc,
                                                                     0, NULL, model ? model->identity_value : NULL);
    if (!ufunc)
        return NULL;
    PyUFuncObject *u = (PyUFuncObject *)ufunc;
    u->ptr = loops;
    /* what has an identity in NumPy may be reduced over several axes at once */
    const int flags = model && model->identity != PyUFunc_None ? NPY_METH_IS_REORDERABLE : 0;
    if (mlopt_add_loop(ufunc, nin, &PyArray_FloatDType, flags) < 0 ||
        mlopt_add_loop(ufunc, nin, &PyArray_DoubleDType, flags) < 0) {
        u->ptr = NULL;
        Py_DECREF(ufunc);
        return NULL;
    }
    u->functions = functions + rows;
    u->data = data + rows;
    u->types = types + rows * nargs;
    u->ntypes = rows;
    if (model)
        u->type_resolver = model->type_resolver;
    return ufunc;
}

#endif
