"""LSTM networks: the public model over the C functions of lstm.h."""
cimport cython
cimport numpy as cnp
from libc.stdint cimport uint64_t
from libc.string cimport memset

import numpy as np

from mlopt._kernels.core cimport current_table, default_blocks
from mlopt._kernels.dispatch cimport mlopt_kernels
from mlopt.nn.layers cimport draw_dense, integer, integers, lay_out_dense
from mlopt.nn.series cimport *
from mlopt.nn.model cimport Job, Model, Workspace, number_in, one_of, vector
from mlopt.nn.network cimport *

from mlopt.nn.layers import ACTIVATIONS

cnp.import_array()

cdef size_t RELEASE_WORK = 1 << 17


@cython.final
cdef class SeriesWorkspace(Workspace):
    """Scratch memory of an LSTM."""
    cdef mlopt_lstm_workspace in_time
    cdef size_t room, dense_room, most_rows  # rows of every time, of the head, of a time
    cdef bint full                           # whether there is room for gradients
    cdef cnp.ndarray series, carried, packed


@cython.final
cdef class LSTM(Model):
    """Long short-term memory, in one or more layers, with dense layers behind the last time step.

    Parameters
    ----------
    inputs : int
        Numbers a time step.
    hidden : int
        Width of every LSTM layer.
    num_layers : int, default 1
        LSTM layers, each taking what the one before puts out.
    head : sequence of int, default ()
        Widths of dense layers behind the last LSTM layer.  Without any, the hidden state is the result.
    activation : {"relu", "tanh", "sigmoid", "gelu", "silu", "identity"}, default "relu"
        Between the layers of the head.
    output : str, default "identity"
        What turns the last sums, or the hidden state, into the result, as in :class:`MLP`.  Without a head:
        ``"identity"``, or the one that goes with the loss.
    loss, optimizer, dtype, rng, l2, huber_delta, precision
        As in :class:`MLP`.  The first weights are uniform within ``1 / sqrt(hidden)``, as in PyTorch; biases are 0,
        those of the forget gates 1.
    dropout : float, default 0.0
        Of the outputs of every LSTM layer but the last on their way to the next one, in :meth:`train_step`.
    truncate : int, optional
        Time steps after which back-propagation is cut, counted from the end: the way back goes no further than so many
        steps at a time.

    Notes
    -----
    Cell and gates are those of Hochreiter and Schmidhuber with the forget gate of Gers and others, as in PyTorch;
    gates stand in the order input, forget, cell, output.  Batches come first: (samples, steps, inputs).  A training
    step takes ``6 samples steps (inputs + hidden) 4 hidden`` floating-point operations a layer, and keeps the gates
    of every time.  Threads as in :class:`MLP`.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((64, 20, 1)).astype(np.float32)
    >>> y = X[:, -3:].sum(axis=1)  # the sum of the last three
    >>> model = mlopt.nn.LSTM(1, 16, head=[1], optimizer=mlopt.nn.AdamW(lr=0.02), rng=0)
    >>> losses = [model.train_step(X, y) for _ in range(200)]
    >>> losses[-1] < 0.05 * losses[0]
    True
    """
    cdef mlopt_lstm network
    cdef cnp.ndarray layer_memory, head_memory
    cdef size_t products  # multiply-adds of a sample's time step
    cdef tuple head_widths
    cdef str activation_name
    cdef double rate
    cdef bint drops

    def __cinit__(self, inputs, hidden, num_layers=1, *, head=(), activation="relu", output="identity", loss="mse",
                  optimizer=None, dtype="float32", rng=None, dropout=0.0, truncate=None, l2=0.0, huber_delta=1.0,
                  precision=None):
        width, self.inputs = integer("hidden", hidden, 1 << 24), integer("inputs", inputs, 1 << 24)
        cdef size_t count = integer("num_layers", num_layers, 64)
        self.head_widths = integers("head", head, 0)
        self.activation_name = one_of("activation", activation, ACTIVATIONS)
        self.rate = number_in("dropout", dropout, 0, 1, "in [0, 1)")
        self.drops = self.rate > 0 and count > 1
        self.network.truncate = 0 if truncate is None else integer("truncate", truncate, 1 << 62)
        outputs = self.head_widths[len(self.head_widths) - 1] if self.head_widths else width
        self.set_objective(loss, output, outputs, huber_delta, ACTIVATIONS)
        if not self.head_widths and output != "identity" and self.objective.link == MLOPT_LINK_NONE:
            raise ValueError(f"output={output!r} needs a head: without one the result is the hidden state")
        self.set_type(dtype, precision)
        self.sample_ndim = 2
        self.lay_out(width, count)
        penalty = number_in("l2", l2, 0, float("inf"), "at least 0 and finite")
        self.begin(optimizer, penalty)
        generator = np.random.default_rng(rng)
        limit = width ** -0.5
        layers = self.views(self.memory.array)
        for x_weights, h_weights, bias in layers[:count]:
            x_weights[...] = generator.uniform(-limit, limit, x_weights.shape)
            h_weights[...] = generator.uniform(-limit, limit, h_weights.shape)
            bias[width:2 * width] = 1
        draw_dense(layers[count:], self.head_activations(), generator)
        self.seed = int(generator.integers(1 << 63))

    cdef tuple head_activations(self):
        return (self.activation_name,) * (len(self.head_widths) - 1) + (self.output_name,) if self.head_widths else ()

    cdef lay_out(self, size_t hidden, size_t count):
        cdef mlopt_lstm_layer *layer
        cdef size_t i, kept
        cdef size_t row_products = 0
        self.places, spans = [], []
        self.layer_memory = np.zeros(count * sizeof(mlopt_lstm_layer), np.uint8)
        self.network.layers = <mlopt_lstm_layer *>cnp.PyArray_DATA(self.layer_memory)
        self.network.count, self.network.inputs, self.network.hidden = count, self.inputs, hidden
        for i in range(count):
            layer = <mlopt_lstm_layer *>cnp.PyArray_DATA(self.layer_memory) + i
            layer.inputs = self.inputs if i == 0 else hidden
            layer.hidden = hidden
            layer.width = layer.inputs + hidden
            layer.dropout = self.rate if i < count - 1 else 0
            layer.weights = self.length
            # one matrix, shown as two
            arrays = [(self.length, (layer.inputs, 4 * hidden)),
                      (self.length + layer.inputs * 4 * hidden, (hidden, 4 * hidden))]
            self.length = self.place([], self.length, (layer.width, 4 * hidden))
            spans.append((layer.weights, layer.width * 4 * hidden))
            layer.bias = self.length
            self.length = self.place(arrays, self.length, (4 * hidden,))
            self.places.append(arrays)
            layer.joined = self.network.light
            self.network.light += layer.width
            self.network.widest = max(self.network.widest, layer.width)
            row_products += layer.width * 4 * hidden
        self.network.tops = self.network.light
        self.network.light += hidden
        kept = self.network.light
        for i in range(count):
            layer = <mlopt_lstm_layer *>cnp.PyArray_DATA(self.layer_memory) + i
            layer.gates = kept
            layer.cells = kept + 4 * hidden
            kept += 5 * hidden
        self.network.deltas = kept
        self.network.full = kept + 2 * self.network.widest
        self.products = row_products
        if self.head_widths:
            layers = len(self.head_widths)
            self.head_memory = lay_out_dense(
                self, &self.network.head, (int(hidden), *self.head_widths), self.head_activations(),
                self.objective.link != MLOPT_LINK_NONE, (0.0,) * (layers - 1), (False,) * (layers - 1), spans)
        self.spans = np.array(spans, np.uintp)
        self.span_count = len(spans)

    # --- what a model brings ---------------------------------------------------------------------

    cdef Workspace new_workspace(self):
        return SeriesWorkspace()

    cdef int reserve(self, Workspace workspace, cnp.ndarray x) except -1:
        cdef SeriesWorkspace series = <SeriesWorkspace>workspace
        cdef int ndim = cnp.PyArray_NDIM(x)
        workspace.rows = 1 if ndim == 2 else cnp.PyArray_DIM(x, 0)
        workspace.steps = cnp.PyArray_DIM(x, ndim - 2)
        series.in_time.rows, series.in_time.steps = workspace.rows, workspace.steps
        return 0

    cdef int prepare(self, SeriesWorkspace series, bint gradient, bint every) except -1:
        # room for the call; the states before the first time are 0
        cdef size_t rows = series.rows, steps = series.steps, itemsize = self.type.itemsize
        cdef size_t dense = rows * steps if every else rows
        cdef size_t most, needed
        blocks = default_blocks(itemsize)
        if rows * steps > series.room or (gradient and not series.full):
            room, full = max(rows * steps, series.room), gradient or series.full
            per_row = self.network.full if full else self.network.light
            series.series = vector(room * per_row, self.type_number, False)
            series.room, series.full = room, full
            series.in_time.series = cnp.PyArray_DATA(series.series)
        if (gradient or self.is_short) and series.packed is None:
            packed = mlopt_lstm_packed_elements(&self.network)
            if self.is_short:
                packed = max(packed, mlopt_lstm_short_packed_elements(&self.network) // 2 + 1)
            series.packed = vector(packed, self.type_number, False)
            series.in_time.packed = cnp.PyArray_DATA(series.packed)
        if dense > series.dense_room or rows > series.most_rows:
            series.most_rows = max(rows, series.most_rows)
            dense = max(dense, series.dense_room)
            most = mlopt_lstm_product_bytes(&self.network, blocks, itemsize, series.most_rows)
            most = max(most, mlopt_network_product_bytes(&self.network.head, blocks, itemsize, dense))
            if self.is_short:
                most = max(most, mlopt_lstm_short_bytes(&self.network, blocks, series.most_rows))
                most = max(most, mlopt_network_short_bytes(&self.network.head, blocks, dense))
                most = (most + 63) // 64 * 64
            series.samples = vector(dense * self.network.head.sample, self.type_number, False)
            series.dense_room = dense
            series.in_time.at.blocks = blocks
            series.in_time.at.samples = cnp.PyArray_DATA(series.samples)
            series.in_time.at.product_bytes = most
            series.in_time.at.capacity = dense
        self.gather(series, &series.in_time.at, self.work(series) // self.network.count)
        if self.is_short:
            needed = mlopt_lstm_short_elements(&self.network, rows, steps, series.in_time.at.crew.size)
        else:
            needed = mlopt_lstm_carried_elements(&self.network, rows, steps, series.in_time.at.crew.size)
        if series.carried is None or <size_t>cnp.PyArray_SIZE(series.carried) < needed:
            series.carried = vector(needed, self.type_number, False)
            series.in_time.carried = cnp.PyArray_DATA(series.carried)
        series.in_time.every = every
        memset(series.in_time.carried, 0, 2 * self.network.count * rows * self.network.hidden * itemsize)
        return 0

    cdef size_t work(self, Workspace workspace) noexcept:
        return workspace.rows * workspace.steps * self.products

    cdef tuple target_lead(self, cnp.ndarray x, y):
        # of the last time step, or of every one where y is that; integers are labels where they can be
        lead = np.shape(x)[:cnp.PyArray_NDIM(x) - 2]
        every = np.shape(x)[:cnp.PyArray_NDIM(x) - 1]
        shape = np.shape(y)
        if shape[:len(every)] == every and len(shape) - len(every) in (0, 1):
            if self.objective.loss == MLOPT_CROSS_ENTROPY and shape == every and np.asarray(y).dtype.kind in "iu":
                return every
            of_last = shape == (*lead, self.objective.outputs) or (self.objective.outputs == 1 and shape == lead)
            return lead if of_last else every
        return lead

    cdef double run(self, Job job, cnp.ndarray x, cnp.ndarray y, sample_weight, Workspace workspace) except? -1:
        cdef SeriesWorkspace series = <SeriesWorkspace>workspace
        self.reserve(workspace, x)
        cdef cnp.npy_intp rows = cnp.PyArray_SIZE(y)
        if cnp.PyArray_TYPE(y) == self.type_number:
            rows //= <cnp.npy_intp>self.objective.outputs
        if series.rows > 0:
            self.prepare(series, job != Job.LOSS, rows != <cnp.npy_intp>series.rows)
        return Model.run(self, job, x, y, sample_weight, workspace)

    cdef cnp.ndarray sample_array(self, X, str name):
        # (steps, inputs) or (rows, steps, inputs) of the model's dtype, C-contiguous; X itself where it is that
        cdef cnp.ndarray x
        x = <cnp.ndarray>X if self.usable(X) else self.converted(X, name)
        cdef int ndim = cnp.PyArray_NDIM(x)
        if not (2 <= ndim <= 3) or <size_t>cnp.PyArray_DIM(x, ndim - 1) != self.inputs:
            raise ValueError(f"{name} must have shape (steps, {self.inputs}) or (samples, steps, {self.inputs}), "
                             f"got {np.shape(x)}")
        if cnp.PyArray_DIM(x, ndim - 2) == 0:
            raise ValueError(f"{name} must have at least one time step, got shape {np.shape(x)}")
        return x

    cdef double compute(self, const mlopt_kernels *table, Job job, const void *x, const mlopt_targets *targets,
                        Workspace workspace, void *gradient) noexcept nogil:
        cdef const mlopt_lstm_workspace *series = &(<SeriesWorkspace>workspace).in_time
        cdef uint64_t dropout[2]
        cdef const uint64_t *drops = NULL
        cdef void *parameters = self.memory.array.data
        cdef double loss
        if job == Job.LOSS:
            if self.is_f64:
                return mlopt_lstm_loss_f64(table, &self.network, &self.objective, <const double *>parameters,
                                           <const double *>x, targets, series)
            if self.is_short and workspace.rows > 1:
                return mlopt_lstm_loss_bf16(table, &self.network, &self.objective, <const float *>parameters,
                                            <const float *>x, targets, series)
            return mlopt_lstm_loss_f32(table, &self.network, &self.objective, <const float *>parameters,
                                       <const float *>x, targets, series)
        if job == Job.STEP and self.drops:
            dropout[0] = self.seed
            dropout[1] = self.steps
            drops = dropout
        if self.is_f64:
            loss = mlopt_lstm_gradient_f64(table, &self.network, &self.objective, <const double *>parameters,
                                           <const double *>x, targets, drops, series, <double *>gradient)
        elif self.is_short and workspace.rows > 1:
            loss = mlopt_lstm_gradient_bf16(table, &self.network, &self.objective, <const float *>parameters,
                                            <const float *>x, targets, drops, series, <float *>gradient)
        else:
            loss = mlopt_lstm_gradient_f32(table, &self.network, &self.objective, <const float *>parameters,
                                           <const float *>x, targets, drops, series, <float *>gradient)
        if job == Job.STEP:
            loss += self.apply_gradient(table, gradient)
        return loss

    cdef void compute_prediction(self, const mlopt_kernels *table, const void *x, SeriesWorkspace series,
                                 void *out) noexcept nogil:
        cdef void *parameters = self.memory.array.data
        if self.is_f64:
            mlopt_lstm_predict_f64(table, &self.network, &self.objective, <const double *>parameters,
                                   <const double *>x, &series.in_time, <double *>out)
        elif self.is_short and series.rows > 1:
            mlopt_lstm_predict_bf16(table, &self.network, &self.objective, <const float *>parameters,
                                    <const float *>x, &series.in_time, <float *>out)
        else:
            mlopt_lstm_predict_f32(table, &self.network, &self.objective, <const float *>parameters,
                                   <const float *>x, &series.in_time, <float *>out)

    cdef int run_prediction(self, cnp.ndarray x, SeriesWorkspace series, bint every, cnp.ndarray out) except -1:
        cdef const mlopt_kernels *table = current_table()
        self.reserve(series, x)
        if series.rows == 0:
            return 0
        self.prepare(series, False, every)
        if self.work(series) < RELEASE_WORK:
            self.compute_prediction(table, cnp.PyArray_DATA(x), series, cnp.PyArray_DATA(out))
            return 0
        with nogil:
            self.compute_prediction(table, cnp.PyArray_DATA(x), series, cnp.PyArray_DATA(out))
        return 0

    cdef cnp.ndarray result(self, out, cnp.ndarray x, bint every):
        cdef cnp.npy_intp shape[3]
        cdef int i, ndim = cnp.PyArray_NDIM(x)
        cdef int lead = ndim - 1 if every else ndim - 2
        for i in range(lead):
            shape[i] = cnp.PyArray_DIM(x, i)
        shape[lead] = self.objective.outputs
        return self.result_of(out, lead + 1, shape, x)

    # --- public ----------------------------------------------------------------------------------

    def predict(self, X, out=None, *, sequences=False):
        """The result of the last time step, or of every one, from states that are 0 before the first.

        Parameters
        ----------
        X : array_like
            Shape (steps, inputs) or (samples, steps, inputs).  A C-contiguous array of the model's dtype is used as
            it is, anything else converted first.
        out : ndarray, optional
            Where to put the result: of its shape, the model's dtype, C-contiguous, not overlapping `X`.
        sequences : bool, default False
            Whether the result is that of every time step.

        Returns
        -------
        ndarray
            Shape (outputs,) or (samples, outputs); with `sequences` (steps, outputs) or (samples, steps, outputs).

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> model = mlopt.nn.LSTM(3, 8, num_layers=2, rng=0)
        >>> model.predict(np.ones((5, 10, 3))).shape
        (5, 8)
        >>> model.predict(np.ones((5, 10, 3)), sequences=True).shape
        (5, 10, 8)
        """
        cdef cnp.ndarray x = self.sample_array(X, "X")
        cdef cnp.ndarray result = self.result(out, x, sequences)
        self.run_prediction(x, <SeriesWorkspace>self.here(), sequences, result)
        return result

    def bind(self, x, out):
        """A callable that predicts from `x` into `out`, both checked here once and for all.

        Parameters
        ----------
        x : ndarray
            (steps, inputs) or (samples, steps, inputs), the model's dtype, C-contiguous; kept, and read in every call.
        out : ndarray
            As in :meth:`predict`; written in every call.

        Returns
        -------
        BoundSeries
            Called without arguments; returns `out`.  Has a workspace of its own, sees every change of the model's
            parameters and follows :class:`mlopt.use_isa`.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> model = mlopt.nn.LSTM(3, 8, rng=0)
        >>> x, out = np.ones((10, 3), np.float32), np.empty(8, np.float32)
        >>> model.bind(x, out)() is out
        True
        """
        cdef cnp.ndarray samples = self.sample_array(self.bindable(x, "x"), "x")
        if out is None:
            raise TypeError("out must be an ndarray, not None")
        every = isinstance(out, np.ndarray) and out.ndim == cnp.PyArray_NDIM(samples)
        return bind_series(self, samples, every, self.result(out, samples, every))

    @property
    def hidden(self):
        """Width of every LSTM layer."""
        return self.network.hidden

    @property
    def num_layers(self):
        """LSTM layers."""
        return self.network.count

    @property
    def head(self):
        """Widths of the dense layers behind them."""
        return self.head_widths

    @property
    def activation(self):
        """Activation between the layers of the head."""
        return self.activation_name

    @property
    def dropout(self):
        """Dropout rate between LSTM layers."""
        return self.rate

    @property
    def truncate(self):
        """Time steps after which back-propagation is cut, None for never."""
        return self.network.truncate or None

    def _arguments(self):
        return {
            "inputs": self.inputs, "hidden": self.hidden, "num_layers": self.num_layers, "head": self.head_widths,
            "activation": self.activation_name, "output": self.output_name, "loss": self.loss_name,
            "optimizer": self.the_optimizer.__copy__(), "dtype": self.type.name, "dropout": self.rate,
            "truncate": self.truncate, "l2": self.l2_factor, "huber_delta": self.huber_delta,
            "precision": self.precision_name,
        }


@cython.final
cdef class BoundSeries:
    """One prediction of an LSTM between two arrays; made by :meth:`LSTM.bind`."""
    cdef LSTM model_
    cdef cnp.ndarray x_, out_
    cdef bint every
    cdef SeriesWorkspace workspace

    def __init__(self):
        raise TypeError("BoundSeries is made by LSTM.bind")

    def __call__(self):
        self.model_.run_prediction(self.x_, self.workspace, self.every, self.out_)
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


cdef BoundSeries bind_series(LSTM model, cnp.ndarray x, bint every, cnp.ndarray out):
    cdef BoundSeries bound = BoundSeries.__new__(BoundSeries)
    bound.model_ = model
    bound.x_ = x
    bound.every = every
    bound.out_ = out
    bound.workspace = SeriesWorkspace()
    return bound


__all__ = ["LSTM"]
