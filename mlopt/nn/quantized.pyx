"""Perceptrons in 8-bit integers: the public model over the kernels of the int8 family."""
import threading
from itertools import pairwise

cimport cython
cimport numpy as cnp
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport int8_t, int32_t, uint8_t
from libc.string cimport memset

import numpy as np

from mlopt._kernels.atomics cimport mlopt_owner_get, mlopt_owner_take
from mlopt._kernels.core cimport current_table, default_blocks, slab_acquire, slab_release, table_choice
from mlopt._kernels.dispatch cimport (
    MLOPT_INT8_TO_F32,
    MLOPT_INT8_TO_S32,
    MLOPT_INT8_TO_U8,
    mlopt_choice,
    mlopt_int8_job,
    mlopt_int8_layer,
    mlopt_int8_packed_bytes,
    mlopt_int8_step,
    mlopt_int8_workspace_bytes,
    mlopt_kernels,
)
from mlopt._kernels.threads cimport gemm_threads, team_run, team_size
from mlopt.linalg.operands cimport overlap
from mlopt.memory.aligned cimport aligned_array
from mlopt.nn.network cimport MLOPT_LINK_NONE, MLOPT_LINK_SIGMOID, MLOPT_LINK_SOFTMAX, mlopt_network_apply_link_f32

from mlopt.nn.layers import ACTIVATIONS

cnp.import_array()

cdef const mlopt_choice *choice = table_choice()
cdef dict LINKS = {"softmax": MLOPT_LINK_SOFTMAX, "sigmoid": MLOPT_LINK_SIGMOID}
# Rows that go through all layers together, so that their bytes stay in the second-level cache.
cdef size_t TOGETHER = 512
# A multiple of the columns of every tier's tile, which the terms of columns are filled up to.
cdef size_t PANEL = 96
# Multiply-adds of a call from which the GIL is released.
cdef size_t RELEASE_WORK = 1 << 19


cdef inline const mlopt_kernels *table_now() except NULL:
    return current_table() if choice.overridden else choice.table


cdef inline size_t rounded(size_t x, size_t unit) noexcept nogil:
    return (x + unit - 1) // unit * unit


cdef cnp.ndarray vector(size_t length, int type_number):
    cdef cnp.npy_intp shape = length
    return aligned_array(1, &shape, type_number, True)


cdef cnp.ndarray filled(values, size_t length, int type_number):
    """Values with zeros behind them."""
    cdef cnp.ndarray result = vector(length, type_number)
    result[:len(values)] = values
    return result


@cython.final
cdef class Chain:
    """A chain of layers laid out for one caller at a time."""


@cython.final
cdef class QuantizedMLP:
    """Multilayer perceptron in 8-bit integers; made by :meth:`MLP.quantize` or :func:`mlopt.nn.from_onnx`.

    Weights are int8 with a scale for every output, the inputs of a layer uint8 with one scale, sums exact in 32 bits;
    bias and activation are computed in float32.  The model cannot be trained.

    Parameters
    ----------
    layers : sequence of QuantizedLayer
        As :class:`mlopt.nn.QuantizedLayer` describes them.
    output : str, default "identity"
        What the prediction is made with: the last layer's activation, or ``"softmax"``, or ``"sigmoid"``.
    mode : {"static", "dynamic"}, default "static"
        Whether the inputs of layers have the scales given, or each sample's own, from its range.
    source : MLP, optional
        The float model that :meth:`compare` compares with; by default one with the layers' weights dequantised.

    Attributes
    ----------
    quantized_layers : tuple of QuantizedLayer
    mode : str
    source : MLP

    Notes
    -----
    A quarter of the memory of float32, and of its time where that is what bounds it.  Single samples and batches give
    the same numbers, on every tier (but for the last bits of activations other than relu).

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> model = mlopt.nn.MLP([20, 32, 4], rng=0)
    >>> X = np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32)
    >>> quantized = model.quantize(X)
    >>> bool(abs(quantized.predict(X) - model.predict(X)).max() < 0.1)
    True
    """

    def __cinit__(self, layers, *, output="identity", mode="static", source=None):
        from mlopt.nn.quantize import checked_layers, checked_source
        self.quantized_layers = checked_layers(layers)
        if mode not in ("static", "dynamic"):
            raise ValueError(f"mode={mode!r} is not one of: static, dynamic")
        for i, (layer, after) in enumerate(pairwise(self.quantized_layers)):
            if layer.weights.shape[1] != after.weights.shape[0]:
                raise ValueError(f"layers[{i + 1}] must have {layer.weights.shape[1]} inputs as layers[{i}] has "
                                 f"outputs, got {after.weights.shape[0]}")
        last = self.quantized_layers[len(self.quantized_layers) - 1]
        if output != last.activation and (output not in LINKS or last.activation != "identity"):
            raise ValueError(f"output={output!r} is neither the last layer's activation, {last.activation!r}, nor "
                             f"softmax or sigmoid behind the identity")
        self.mode, self.dynamic = mode, mode == "dynamic"
        self.output_name = output
        self.objective.outputs = last.weights.shape[1]
        self.objective.link = LINKS[output] if output != last.activation else MLOPT_LINK_NONE
        self.widths = (self.quantized_layers[0].weights.shape[0],
                       *[layer.weights.shape[1] for layer in self.quantized_layers])
        self.inputs = self.widths[0]
        self.given, self.plain = [], True
        for layer in self.quantized_layers:
            self.products += layer.weights.size
            self.row = max(self.row, rounded(layer.weights.shape[0], 64))
            self.hidden = max(self.hidden, layer.weights.shape[1] if layer is not last else 0)
            has_zero = bool(np.any(layer.weight_zero_point)) or layer.weights.dtype == np.uint8
            self.plain = self.plain and not has_zero
            self.given.append((layer, np.ascontiguousarray(layer.weights),
                               np.ascontiguousarray(layer.weight_zero_point, np.int32) if has_zero else None))
        if self.dynamic and not self.plain:
            raise ValueError("mode='dynamic' needs int8 weights without zero points")
        self.source = checked_source(source, self.widths)
        self.note_zeros()
        self.others = {}
        self.pack(current_table())
        self.main = Chain()
        self.lay_out(self.main, self.packed_for)

    # --- memory ----------------------------------------------------------------------------------

    cdef int note_zeros(self) except -1:
        """What the weights' bytes stand for, as products take it."""
        cdef weight_zeros *zeros
        cdef cnp.ndarray array
        cdef size_t i
        self.zeros_memory = vector(len(self.given) * sizeof(weight_zeros), cnp.NPY_UINT8)
        zeros = <weight_zeros *>cnp.PyArray_DATA(self.zeros_memory)
        for i, (_, weights, zero) in enumerate(self.given):
            zeros[i].is_signed = weights.dtype == np.int8
            zeros[i].zero, zeros[i].step = NULL, 0
            if zero is not None:
                array = zero
                zeros[i].zero, zeros[i].step = <int32_t *>cnp.PyArray_DATA(array), cnp.PyArray_DIM(array, 0) > 1
        self.zeros = zeros
        return 0

    cdef int pack(self, const mlopt_kernels *table) except -1:
        """Weights for the kernels of a table, and what belongs to their columns."""
        cdef size_t inputs, outputs, columns, padded
        cdef cnp.ndarray weights, data, sums, start, scale
        packed = []
        for layer, weights, _ in self.given:
            inputs, outputs = cnp.PyArray_DIM(weights, 0), cnp.PyArray_DIM(weights, 1)
            is_signed = cnp.PyArray_TYPE(weights) == cnp.NPY_INT8
            columns = table.gemm_pack_s8(inputs, outputs, NULL, 0, 0, is_signed, NULL)
            data = vector(mlopt_int8_packed_bytes(inputs, columns), cnp.NPY_INT8)
            table.gemm_pack_s8(inputs, outputs, cnp.PyArray_DATA(weights), outputs, 1, is_signed,
                               <int8_t *>cnp.PyArray_DATA(data))
            padded = rounded(columns, PANEL)
            scale = filled(layer.weight_scale, padded, cnp.NPY_FLOAT)
            if not self.dynamic:
                scale *= np.float32(layer.input_scale)
            sums = np.asarray(weights).astype(np.int64).sum(axis=0)
            start = filled((-layer.input_zero_point * sums).astype(np.int32), padded, cnp.NPY_INT32)
            packed.append((data, columns, start, scale, filled(layer.bias, padded, cnp.NPY_FLOAT), padded))
        with cython.critical_section(self):
            self.packed, self.packed_for = packed, table
        return 0

    cdef list packed_by(self, const mlopt_kernels *table):
        cdef const mlopt_kernels *has
        cdef list packed
        while True:
            with cython.critical_section(self):
                has, packed = self.packed_for, self.packed
            if has == table:
                return packed
            self.pack(table)  # and again where another thread comes in between with its tier

    cdef int lay_out(self, Chain chain, const mlopt_kernels *table) except -1:
        cdef size_t count = len(self.given), i, needed, steps
        cdef mlopt_int8_layer *layers
        cdef cnp.ndarray data, start, scale, shift, scratch, layers_memory, steps_memory
        cdef char *at
        packed = self.packed_by(table)
        # a layer's bytes and reals, and in dynamic mode terms of columns of its own
        needed = 0
        for i in range(count):
            needed += self.row + 3 * 4 * <size_t>packed[i][5]
        scratch = vector(needed, cnp.NPY_UINT8)
        layers_memory = vector(count * sizeof(mlopt_int8_layer), cnp.NPY_UINT8)
        layers = <mlopt_int8_layer *>cnp.PyArray_DATA(layers_memory)
        at = <char *>cnp.PyArray_DATA(scratch)
        for i in range(count):
            layer, weights, _ = self.given[i]
            data, columns, start, scale, shift, padded = packed[i]
            layers[i].inputs, layers[i].outputs = weights.shape
            layers[i].packed = <int8_t *>cnp.PyArray_DATA(data)
            layers[i].packed_columns = columns
            layers[i].shift = <float *>cnp.PyArray_DATA(shift)
            layers[i].activation = ACTIVATIONS.index(layer.activation)
            layers[i].dynamic = self.dynamic
            layers[i].zero = layer.input_zero_point
            layers[i].multiplier = 1 / np.float32(layer.input_scale)
            layers[i].bytes = <uint8_t *>at
            layers[i].reals = <float *>(at + self.row)
            layers[i].start = <int32_t *>cnp.PyArray_DATA(start)
            layers[i].scale = <float *>cnp.PyArray_DATA(scale)
            layers[i].weight_scale = layers[i].scale
            if self.dynamic:
                layers[i].start = <int32_t *>(at + self.row + 4 * <size_t>padded)
                layers[i].scale = <float *>(at + self.row + 8 * <size_t>padded)
            at += self.row + 12 * <size_t>padded
        steps = table.chain_plan_s8(count, layers, NULL)
        steps_memory = vector(steps * sizeof(mlopt_int8_step), cnp.NPY_UINT8)
        table.chain_plan_s8(count, layers, <mlopt_int8_step *>cnp.PyArray_DATA(steps_memory))
        # all at once, so that a chain is whole whatever fails
        chain.count, chain.layers = steps, layers
        chain.steps = <const mlopt_int8_step *>cnp.PyArray_DATA(steps_memory)
        chain.kept, chain.table = (packed, scratch, layers_memory, steps_memory), table
        return 0

    cdef Chain here(self, const mlopt_kernels *table):
        """This thread's chain, for the table."""
        cdef unsigned long thread = PyThread_get_thread_ident(), owner = mlopt_owner_get(&self.main.owner)
        cdef Chain chain
        if owner == thread or (owner == 0 and mlopt_owner_take(&self.main.owner, thread)):
            chain = self.main
        else:
            try:
                chain = <Chain>self.others[thread]
            except KeyError:
                chain = self.first_here(thread)
        if chain.table != table:
            self.lay_out(chain, table)
        return chain

    cdef Chain first_here(self, unsigned long thread):
        # as Model.first_here
        cdef Chain chain = Chain()
        chain.owner = thread
        known = list(self.others)
        alive = {running.ident for running in threading.enumerate()}
        for ident in known:
            if ident not in alive:
                self.others.pop(ident, None)
        self.others[thread] = chain
        return chain

    # --- computing -------------------------------------------------------------------------------

    cdef int run_one(self, Chain chain, const float *x, float *out) except -1:
        if not self.plain:
            return self.run_rows(chain, 1, x, out)
        chain.table.chain_run_s8(chain.count, chain.steps, x, out)
        if self.objective.link != MLOPT_LINK_NONE:
            mlopt_network_apply_link_f32(chain.table, &self.objective, 1, out)
        return 0

    cdef int run_rows(self, Chain chain, size_t rows, const float *x, float *out) except -1:
        cdef batch b
        cdef tuple _kept = chain.kept  # while the GIL is free, another call may lay the chain out for its tier
        b.table, b.layers, b.count = chain.table, chain.layers, len(self.given)
        b.rows, b.x, b.out, b.row, b.hidden = rows, x, out, self.row, self.hidden
        b.inputs, b.outputs = self.inputs, self.objective.outputs
        b.dynamic, b.zeros = self.dynamic, self.zeros
        b.parts, b.status = 1, 0
        cdef size_t work = rows * self.products
        if work < RELEASE_WORK:
            rows_part(0, &b)
        else:
            b.parts = gemm_threads(<double>work / 4, team_size())
            with nogil:
                team_run(b.parts, rows_part, &b)
        if b.status != 0:
            raise MemoryError("no memory for the activations of a batch")
        if self.objective.link != MLOPT_LINK_NONE:
            mlopt_network_apply_link_f32(chain.table, &self.objective, rows, out)
        return 0

    cdef cnp.ndarray samples(self, X, str name):
        cdef cnp.ndarray x
        if not (isinstance(X, cnp.ndarray) and cnp.PyArray_TYPE(<cnp.ndarray>X) == cnp.NPY_FLOAT
                and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>X)):
            array = np.asarray(X)
            if not np.can_cast(array.dtype, np.float32, "same_kind"):
                raise TypeError(f"{name} must be numeric and fit float32, got {array.dtype}")
            X = np.require(array, np.float32, ["C", "A"])
        x = <cnp.ndarray>X
        cdef int ndim = cnp.PyArray_NDIM(x)
        if not (1 <= ndim <= 2) or <size_t>cnp.PyArray_DIM(x, ndim - 1) != self.inputs:
            raise ValueError(f"{name} must have shape ({self.inputs},) or (samples, {self.inputs}), got {np.shape(x)}")
        return x

    cdef cnp.ndarray result(self, out, cnp.ndarray x):
        cdef cnp.npy_intp shape[2]
        cdef int ndim = cnp.PyArray_NDIM(x)
        cdef cnp.ndarray result
        shape[0] = cnp.PyArray_DIM(x, 0)
        shape[ndim - 1] = self.objective.outputs
        if out is None:
            return aligned_array(ndim, shape, cnp.NPY_FLOAT, False)
        if not isinstance(out, cnp.ndarray):
            raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
        result = <cnp.ndarray>out
        if cnp.PyArray_TYPE(result) != cnp.NPY_FLOAT:
            raise TypeError(f"out must be float32, got {out.dtype}")
        if cnp.PyArray_NDIM(result) != ndim or cnp.PyArray_DIM(result, 0) != shape[0] or (
                ndim == 2 and cnp.PyArray_DIM(result, 1) != shape[1]):
            expected = tuple([shape[i] for i in range(ndim)])
            raise ValueError(f"out must have shape {expected}, got {out.shape}")
        if not cnp.PyArray_ISCARRAY(result):
            raise ValueError("out must be C-contiguous, aligned and writable")
        if overlap(result, x):
            raise ValueError("out must not overlap X")
        return result

    # --- public ----------------------------------------------------------------------------------

    def predict(self, X, out=None):
        """The network's output for one sample or a batch.

        Parameters
        ----------
        X : array_like
            Shape (inputs,) or (samples, inputs).  A C-contiguous float32 array is used as it is, anything else
            converted first.
        out : ndarray, optional
            Where to put the result: shape (outputs,) or (samples, outputs), float32, C-contiguous, not
            overlapping `X`.

        Returns
        -------
        ndarray
            `out`, or a new array, float32.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> X = np.ones((5, 3), np.float32)
        >>> mlopt.nn.MLP([3, 8, 2], rng=0).quantize(X).predict(X).shape
        (5, 2)
        """
        cdef cnp.ndarray x = self.samples(X, "X")
        cdef cnp.ndarray result = self.result(out, x)
        cdef Chain chain = self.here(table_now())
        if cnp.PyArray_NDIM(x) == 1:
            self.run_one(chain, <const float *>x.data, <float *>result.data)
        else:
            self.run_rows(chain, cnp.PyArray_DIM(x, 0), <const float *>x.data, <float *>result.data)
        return result

    def bind(self, x, out):
        """A callable that predicts from `x` into `out`, both checked here once and for all.

        Parameters
        ----------
        x : ndarray
            (inputs,) or (samples, inputs), float32, C-contiguous; kept, and read in every call.
        out : ndarray
            (outputs,) or (samples, outputs), likewise; written in every call.

        Returns
        -------
        BoundQuantizedPrediction
            Called without arguments; returns `out`.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> X = np.ones((5, 3), np.float32)
        >>> model = mlopt.nn.MLP([3, 8, 2], rng=0).quantize(X)
        >>> x, out = np.ones(3, np.float32), np.empty(2, np.float32)
        >>> infer = model.bind(x, out)
        >>> infer() is out
        True
        """
        for name, array in (("x", x), ("out", out)):
            if not isinstance(array, cnp.ndarray):
                raise TypeError(f"{name} must be an ndarray, not {type(array).__name__}")
        if x.dtype != np.float32:
            raise TypeError(f"x must be float32, got {x.dtype}")
        if not x.flags.c_contiguous or not x.flags.aligned:
            raise ValueError("x must be C-contiguous and aligned")
        cdef cnp.ndarray samples = self.samples(x, "x")
        return bind_prediction(self, samples, self.result(out, samples))

    def compare(self, X, y=None):
        """What quantisation changed: outputs, layer by layer, and the score.

        Parameters
        ----------
        X : array_like, shape (samples, inputs)
            Samples.
        y : array_like, optional
            What is to be predicted: class labels, or targets of the outputs' shape.  Without it there is no score.

        Returns
        -------
        QuantizationReport
            Errors against :attr:`source`; printing it gives a table.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> X = np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32)
        >>> report = mlopt.nn.MLP([20, 32, 4], rng=0).quantize(X).compare(X)
        >>> bool(report.mean_error < 0.05)
        True
        """
        from mlopt.nn.quantize import compare
        return compare(self, X, y)

    @property
    def layers(self):
        """Widths: inputs, hidden layers, outputs."""
        return self.widths

    @property
    def output(self):
        """What the prediction is made with."""
        return self.output_name

    @property
    def nbytes(self):
        """Bytes of weights, scales and biases."""
        return sum([layer.nbytes for layer in self.quantized_layers])

    def __reduce__(self):
        return remade, (self.quantized_layers, self.output_name, self.mode, self.source)

    def __repr__(self):
        return f"<QuantizedMLP {' - '.join(map(str, self.widths))}, {self.mode}, {self.nbytes} bytes>"


def remade(layers, output, mode, source):
    return QuantizedMLP(layers, output=output, mode=mode, source=source)


# --- batches -------------------------------------------------------------------------------------

# A batch on its way through the layers.
cdef struct batch:
    const mlopt_kernels *table
    const mlopt_int8_layer *layers
    size_t count
    size_t rows, inputs, outputs, row, hidden
    const float *x
    float *out
    bint dynamic
    const weight_zeros *zeros
    int parts
    int status


# An equal share of the rows.
cdef void rows_part(int part, void *argument) noexcept nogil:
    cdef batch *b = <batch *>argument
    cdef size_t first = b.rows * part // b.parts, end = b.rows * (part + 1) // b.parts
    cdef size_t rows = min(end - first, TOGETHER), most = 0, here, i
    cdef char *memory
    for i in range(b.count):
        here = mlopt_int8_workspace_bytes(default_blocks(1), MLOPT_INT8_TO_U8, rows, b.layers[i].outputs,
                                          b.layers[i].inputs)
        most = max(most, here)
    memory = <char *>slab_acquire(most + 2 * rounded(rows * b.row, 64) + rounded(4 * rows * (b.hidden + 2), 64))
    if memory == NULL:
        b.status = -1
        return
    while first < end:
        rows = min(end - first, TOGETHER)
        if b.dynamic:
            some_rows_dynamic(b, rows, b.x + first * b.inputs, b.out + first * b.outputs, memory, most)
        else:
            some_rows(b, rows, b.x + first * b.inputs, b.out + first * b.outputs, memory, most)
        first += rows
    slab_release(memory)


# What is the same for all layers of a batch, and what is a layer's; the workspace comes first in the memory.
cdef void begin_product(mlopt_int8_job *job, const batch *b, size_t i, size_t rows, const void *a,
                        char *memory) noexcept nogil:
    cdef const mlopt_int8_layer *layer = b.layers + i
    memset(job, 0, sizeof(mlopt_int8_job))
    job.m, job.n, job.k = rows, layer.outputs, layer.inputs
    job.a, job.a_row, job.a_column, job.a_padded = a, b.row, 1, True
    job.b_signed = b.zeros[i].is_signed
    job.packed, job.packed_columns = layer.packed, layer.packed_columns
    job.a_zero = &layer.zero
    job.b_zero, job.b_zero_step = b.zeros[i].zero, b.zeros[i].step
    job.blocks, job.workspace = default_blocks(1), memory


cdef void some_rows(const batch *b, size_t rows, const float *x, float *out, char *memory,
                    size_t workspace) noexcept nogil:
    cdef mlopt_int8_job job
    cdef const mlopt_int8_layer *layer
    cdef size_t i
    cdef char *now = memory + workspace
    cdef char *then = now + rounded(rows * b.row, 64)
    b.table.chain_inputs_s8(rows, b.layers, x, b.inputs, <uint8_t *>now, b.row)
    for i in range(b.count):
        layer = b.layers + i
        begin_product(&job, b, i, rows, now, memory)
        job.result.scale, job.result.scale_step = layer.scale, 1
        job.result.shift, job.result.activation = layer.shift, layer.activation
        job.result.out_multiplier = 1
        if i + 1 < b.count:
            job.result.kind = MLOPT_INT8_TO_U8
            job.result.out_multiplier, job.result.out_zero = layer[1].multiplier, layer[1].zero
            job.c, job.c_row = then, b.row
        else:
            job.result.kind = MLOPT_INT8_TO_F32
            job.c, job.c_row = out, b.outputs
        b.table.gemm_s8(&job)
        now, then = then, now


# Every row has scales of its own.
cdef void some_rows_dynamic(const batch *b, size_t rows, const float *x, float *out, char *memory,
                            size_t workspace) noexcept nogil:
    cdef mlopt_int8_job job
    cdef size_t i, row = b.inputs
    cdef char *now = memory + workspace
    cdef float *reals = <float *>(now + rounded(rows * b.row, 64))
    cdef float *units = reals + rows * b.hidden
    cdef int32_t *zeros = <int32_t *>(units + rows)
    for i in range(b.count):
        b.table.chain_ranges_s8(rows, b.layers + i, x, row, <uint8_t *>now, b.row, zeros, units)
        begin_product(&job, b, i, rows, now, memory)
        job.a_zero, job.a_zero_step = zeros, 1
        job.result.kind = MLOPT_INT8_TO_S32
        row = b.layers[i].outputs
        x = out if i + 1 == b.count else reals
        job.c, job.c_row = <void *>x, row
        b.table.gemm_s8(&job)
        b.table.chain_reals_s8(rows, b.layers + i, units, <void *>x, row)


# --- bound ---------------------------------------------------------------------------------------


@cython.final
cdef class BoundQuantizedPrediction:
    """One prediction between two arrays; made by :meth:`QuantizedMLP.bind`."""
    cdef QuantizedMLP model_
    cdef cnp.ndarray x_, out_
    cdef const float *x_data
    cdef float *out_data
    cdef bint direct  # the chain is all there is to do
    cdef Chain chain

    def __init__(self):
        raise TypeError("BoundQuantizedPrediction is made by QuantizedMLP.bind")

    def __call__(self):
        cdef const mlopt_kernels *table = table_now()
        cdef Chain chain = self.chain
        if self.direct and chain.table == table:
            table.chain_run_s8(chain.count, chain.steps, self.x_data, self.out_data)
            return self.out_
        if chain.table != table:
            self.model_.lay_out(chain, table)
        if cnp.PyArray_NDIM(self.x_) == 1:
            self.model_.run_one(chain, self.x_data, self.out_data)
        else:
            self.model_.run_rows(chain, cnp.PyArray_DIM(self.x_, 0), self.x_data, self.out_data)
        return self.out_

    @property
    def model(self):
        """The model it belongs to."""
        return self.model_

    @property
    def x(self):
        """The array that is read."""
        return self.x_

    @property
    def out(self):
        """The array that is written."""
        return self.out_


cdef BoundQuantizedPrediction bind_prediction(QuantizedMLP model, cnp.ndarray x, cnp.ndarray out):
    cdef BoundQuantizedPrediction bound = BoundQuantizedPrediction.__new__(BoundQuantizedPrediction)
    bound.model_ = model
    bound.x_ = x
    bound.out_ = out
    bound.x_data = <const float *>cnp.PyArray_DATA(x)
    bound.out_data = <float *>cnp.PyArray_DATA(out)
    bound.direct = cnp.PyArray_NDIM(x) == 1 and model.plain and model.objective.link == MLOPT_LINK_NONE
    bound.chain = Chain()
    model.lay_out(bound.chain, current_table())
    return bound


__all__ = ["QuantizedMLP"]
