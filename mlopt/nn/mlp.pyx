"""Multilayer perceptrons: the public model over the C functions of network.h."""
cimport cython
cimport numpy as cnp
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

import numpy as np

from mlopt._kernels.atomics cimport mlopt_count_get
from mlopt._kernels.core cimport current_table, default_blocks, table_choice
from mlopt._kernels.dispatch cimport mlopt_choice, mlopt_kernels
from mlopt.nn.bound cimport Bound
from mlopt.nn.layers cimport draw_dense, integers, lay_out_dense, of_each, same_or_each
from mlopt.nn.model cimport Job, Model, Workspace, number_in, one_of, vector
from mlopt.nn.network cimport *
from mlopt.nn.plan cimport *

from mlopt.nn.layers import ACTIVATIONS

cnp.import_array()

cdef const mlopt_choice *choice = table_choice()
# Predictions with the same parameters after which packing them for the ones to come pays.
cdef int PACK_AFTER = 4
cdef size_t RELEASE_WORK = 1 << 17


cdef inline const mlopt_kernels *table_now() except NULL:
    # current_table without a call where no context has a table of its own
    return current_table() if choice.overridden else choice.table


@cython.final
cdef class DenseWorkspace(Workspace):
    """Scratch memory, and the parameters packed for single samples while they stay the same."""
    cdef mlopt_plan plan
    cdef const mlopt_kernels *seen_table
    cdef size_t seen_version
    cdef int seen  # calls with the parameters of this version
    cdef const mlopt_kernels *packed_for  # whose format has the memory below
    cdef cnp.ndarray steps_memory, back_memory, packed


@cython.final
cdef class MLP(Model):
    """Multilayer perceptron for CPU: low-latency inference and gradients, batch training.

    Parameters
    ----------
    layers : sequence of int
        Widths: inputs, hidden layers, outputs; at least two.
    activation : {"relu", "tanh", "sigmoid", "gelu", "silu", "identity"} or a sequence of them, default "relu"
        Of the hidden layers, of all or of each; ``"gelu"`` is the exact form with the error function.
    output : str, default "identity"
        Activation of the last layer: one of the above with ``loss="mse"`` and ``"huber"``; ``"softmax"`` with
        ``"cross_entropy"`` and ``"sigmoid"`` with ``"binary_cross_entropy"``.  With these two losses
        ``"identity"`` predicts logits.
    loss : {"mse", "huber", "cross_entropy", "binary_cross_entropy"}, default "mse"
        Defined as in PyTorch: the mean over all elements, for cross-entropy the mean over samples.
    optimizer : AdamW or SGD, optional
        :class:`AdamW` with its defaults if not given.  Its state belongs to the model; its numbers may
        be changed between steps.
    dtype : {"float32", "float64"}, default "float32"
        Of parameters and computation.
    rng : None, int, numpy.random.Generator, ..., optional
        For the initial weights, through :func:`numpy.random.default_rng`: He's normal distribution in
        front of relu, gelu and silu, Glorot's uniform one otherwise; biases are 0.  Dropout draws from it as well.
    dropout : float or a sequence of float, default 0.0
        Share of the activations of hidden layers, of all or of each, that :meth:`train_step` sets to 0; the others
        are divided by what is left.
    layer_norm : bool or a sequence of bool, default False
        Whether the sums of hidden layers, of all or of each, are normalised before the activation: to mean 0 and
        variance 1 (plus 1e-5) over a layer, times a gain, plus a shift, both learnt.
    l2 : float, default 0.0
        Penalty ``l2 / 2 * sum(weights ** 2)`` in :meth:`train_step`; not of biases, gains and shifts.
    huber_delta : float, default 1.0
        Where Huber's loss goes on as a line.
    precision : {"full", "bf16"}, optional
        Of the matrix products of batches: that of the dtype, or operands rounded to bfloat16 and sums in float32
        (float32 models only).  Parameters, gradients, moments, activations and losses stay float32, and so does all
        that is computed for one sample.  See the user guide.

    Notes
    -----
    Every thread that calls a model has a workspace and a gradient vector of its own in it, and so has every bound
    object (:meth:`bind`, :meth:`bind_gradient`).  The GIL is released while a large batch is computed.  Steps of one
    model from two threads at once are a RuntimeError.

    Examples
    --------
    >>> import numpy as np, mlopt
    >>> model = mlopt.nn.MLP([2, 16, 1], activation="tanh", rng=0)
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    >>> y = np.array([0, 1, 1, 0], np.float32)
    >>> model.optimizer.lr = 0.02
    >>> for step in range(500):
    ...     loss = model.train_step(X, y)
    >>> model.predict(X).ravel().round().tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    cdef mlopt_network network
    cdef cnp.ndarray layer_memory
    cdef size_t products  # multiply-adds of a sample
    cdef tuple widths, activations, rates, norms
    cdef object activation_given
    cdef bint drops

    def __cinit__(self, layers, *, activation="relu", output="identity", loss="mse", optimizer=None, dtype="float32",
                  rng=None, dropout=0.0, layer_norm=False, l2=0.0, huber_delta=1.0,
                  precision=None):
        self.widths = integers("layers", layers, 2)
        hidden = len(self.widths) - 2
        self.activations = of_each("activation", activation, hidden, str)
        for name in (activation,) if isinstance(activation, str) else self.activations:
            one_of("activation", name, ACTIVATIONS)
        self.activation_given = activation if isinstance(activation, str) else self.activations
        self.rates = of_each("dropout", dropout, hidden, (int, float, np.number))
        for rate in (dropout,) if isinstance(dropout, (int, float, np.number)) else self.rates:
            number_in("dropout", rate, 0, 1, "in [0, 1)")
        self.drops = any(self.rates)
        self.norms = of_each("layer_norm", layer_norm, hidden, (bool, np.bool))
        self.set_objective(loss, output, self.widths[len(self.widths) - 1], huber_delta, ACTIVATIONS)
        self.set_type(dtype, precision)
        self.inputs = self.widths[0]
        self.sample_ndim = 1
        generator = np.random.default_rng(rng)
        self.lay_out()
        penalty = number_in("l2", l2, 0, float("inf"), "at least 0 and finite")
        self.begin(optimizer, penalty)
        draw_dense(self.views(self.memory.array), (*self.activations, self.output_name), generator)
        self.seed = int(generator.integers(1 << 63))

    cdef lay_out(self):
        cdef size_t inputs, outputs
        self.places, spans = [], []
        self.layer_memory = lay_out_dense(self, &self.network, self.widths, (*self.activations, self.output_name),
                                          self.objective.link != MLOPT_LINK_NONE, self.rates, self.norms, spans)
        self.spans = np.array(spans, np.uintp)
        self.span_count = len(spans)
        for inputs, outputs in zip(self.widths[:len(self.widths) - 1], self.widths[1:], strict=True):
            self.products += inputs * outputs

    # --- what a model brings ---------------------------------------------------------------------

    cdef Workspace new_workspace(self):
        return DenseWorkspace()

    cdef int reserve(self, Workspace workspace, cnp.ndarray x) except -1:
        workspace.rows = 1 if cnp.PyArray_NDIM(x) == 1 else cnp.PyArray_DIM(x, 0)
        if workspace.rows > workspace.at.capacity:
            self.grow(<DenseWorkspace>workspace)
        return self.gather(workspace, &workspace.at, workspace.rows * self.products // self.network.count)

    cdef int grow(self, DenseWorkspace workspace) except -1:
        cdef size_t rows = workspace.rows, itemsize = self.type.itemsize
        blocks = default_blocks(itemsize)
        bytes_needed = 0  # a single sample has no matrix products, but for those of dropout and normalisation
        if rows > 1 or self.drops or not self.network.plain:
            bytes_needed = mlopt_network_product_bytes(&self.network, blocks, itemsize, rows)
            if self.is_short:
                bytes_needed = max(bytes_needed, mlopt_network_short_bytes(&self.network, blocks, rows))
                bytes_needed = (bytes_needed + 63) // 64 * 64
        samples = vector(rows * self.network.sample, self.type_number, False)
        workspace.samples = samples
        workspace.at.blocks = blocks
        workspace.at.samples = cnp.PyArray_DATA(workspace.samples)
        workspace.at.product_bytes = bytes_needed
        workspace.at.capacity = rows
        workspace.plan.table = NULL
        return 0

    cdef size_t work(self, Workspace workspace) noexcept:
        # multiply-adds of a call
        return workspace.rows * self.products

    cdef tuple target_lead(self, cnp.ndarray x, y):
        return np.shape(x)[:cnp.PyArray_NDIM(x) - 1]

    cdef cnp.ndarray sample_array(self, X, str name):
        # (inputs,) or (rows, inputs) of the model's dtype, C-contiguous; X itself where it is that
        cdef cnp.ndarray x
        x = <cnp.ndarray>X if self.usable(X) else self.converted(X, name)
        cdef int ndim = cnp.PyArray_NDIM(x)
        if not (1 <= ndim <= 2) or <size_t>cnp.PyArray_DIM(x, ndim - 1) != self.inputs:
            raise ValueError(f"{name} must have shape ({self.inputs},) or (samples, {self.inputs}), got {np.shape(x)}")
        return x

    cdef double compute(self, const mlopt_kernels *table, Job job, const void *x, const mlopt_targets *targets,
                        Workspace workspace, void *gradient) noexcept nogil:
        cdef uint64_t dropout[2]
        cdef const uint64_t *drops = NULL
        cdef void *parameters = self.memory.array.data
        cdef size_t rows = workspace.rows
        cdef double loss
        if job == Job.LOSS:
            if self.is_f64:
                return mlopt_network_loss_f64(table, &self.network, &self.objective, <const double *>parameters, rows,
                                              <const double *>x, self.inputs, targets, &workspace.at)
            if self.is_short and rows > 1:
                return mlopt_network_loss_bf16(table, &self.network, &self.objective, <const float *>parameters, rows,
                                               <const float *>x, self.inputs, targets, &workspace.at)
            return mlopt_network_loss_f32(table, &self.network, &self.objective, <const float *>parameters, rows,
                                          <const float *>x, self.inputs, targets, &workspace.at)
        if job == Job.STEP and self.drops:
            dropout[0] = self.seed
            dropout[1] = self.steps
            drops = dropout
        if self.is_f64:
            loss = mlopt_network_gradient_f64(table, &self.network, &self.objective, <const double *>parameters, rows,
                                              <const double *>x, self.inputs, targets, drops, &workspace.at,
                                              <double *>gradient)
        elif self.is_short and rows > 1:
            loss = mlopt_network_gradient_bf16(table, &self.network, &self.objective, <const float *>parameters, rows,
                                               <const float *>x, self.inputs, targets, drops, &workspace.at,
                                               <float *>gradient)
        else:
            loss = mlopt_network_gradient_f32(table, &self.network, &self.objective, <const float *>parameters, rows,
                                              <const float *>x, self.inputs, targets, drops, &workspace.at,
                                              <float *>gradient)
        if job == Job.STEP:
            loss += self.apply_gradient(table, gradient)
        return loss

    cdef double run(self, Job job, cnp.ndarray x, cnp.ndarray y, sample_weight, Workspace workspace) except? -1:
        cdef DenseWorkspace own = <DenseWorkspace>workspace
        if job == Job.GRADIENT and cnp.PyArray_NDIM(x) == 1 and sample_weight is None and self.network.plain:
            if not self.ready(current_table(), own):
                self.need_gradient(own)
                self.reserve(own, x)
                self.see(current_table(), own)
            elif cnp.PyArray_TYPE(y) == self.type_number:
                return self.gradient_of_one(cnp.PyArray_DATA(x), cnp.PyArray_DATA(y), own)
        return Model.run(self, job, x, y, sample_weight, workspace)

    cdef inline bint ready(self, const mlopt_kernels *table, DenseWorkspace workspace) noexcept nogil:
        # for the gradient of one sample
        return workspace.plan.back != NULL and self.packed_for(table, &workspace.plan)

    cdef inline double gradient_of_one(self, const void *x, const void *y, DenseWorkspace workspace) noexcept:
        cdef mlopt_targets targets
        cdef void *gradient = workspace.gradient_vector.data
        targets.values = y
        targets.row = self.objective.outputs
        targets.weights = NULL
        targets.total = 1
        if self.is_f64:
            return mlopt_plan_gradient_f64(&workspace.plan, &self.network, &self.objective, <const double *>x,
                                           &targets, &workspace.at, <double *>gradient)
        return mlopt_plan_gradient_f32(&workspace.plan, &self.network, &self.objective, <const float *>x, &targets,
                                       &workspace.at, <float *>gradient)

    # --- one sample from packed parameters -------------------------------------------------------

    cdef inline bint packed_for(self, const mlopt_kernels *table, const mlopt_plan *plan) noexcept nogil:
        # whether the plan is of these parameters
        return (plan.table == table and mlopt_count_get(&self.memory.exports) == 0
                and plan.version == mlopt_count_get(&self.memory.version))

    cdef int see(self, const mlopt_kernels *table, DenseWorkspace workspace) except -1:
        # counts calls with the same parameters, and packs them when that begins to pay
        cdef size_t version = mlopt_count_get(&self.memory.version)
        if (workspace.seen_version != version or workspace.seen_table != table
                or mlopt_count_get(&self.memory.exports) > 0):
            workspace.seen_version = version
            workspace.seen_table = table
            workspace.seen = 0
        workspace.seen += 1
        if workspace.seen > PACK_AFTER and workspace.rows == 1 and self.network.plain and workspace.at.capacity > 0:
            self.pack(table, workspace)
        return 0

    cdef int pack(self, const mlopt_kernels *table, DenseWorkspace workspace) except -1:
        cdef mlopt_plan *plan = &workspace.plan
        cdef size_t length = 0, steps = 0
        # read before the parameters are: what another thread changes meanwhile is another version
        cdef size_t version = mlopt_count_get(&self.memory.version)
        cdef cnp.ndarray layers = np.empty(self.network.count * MLOPT_PLAN_LAYER_BYTES, np.uint8)
        plan.table = NULL
        if workspace.gradient_vector is not None and plan.back == NULL:
            workspace.back_memory = np.zeros(self.network.count * sizeof(mlopt_plan_part), np.uint8)
            plan.back = <mlopt_plan_part *>cnp.PyArray_DATA(workspace.back_memory)
            workspace.packed = None
        if workspace.packed is None or workspace.packed_for != table:
            steps = self.make_plan(table, workspace, NULL, NULL, cnp.PyArray_DATA(layers), &length)
            workspace.steps_memory = vector(steps * MLOPT_PLAN_STEP_BYTES, cnp.NPY_UINT8)
            workspace.packed = vector(length, self.type_number)
            workspace.packed_for = table
        self.make_plan(table, workspace, <char *>cnp.PyArray_DATA(workspace.steps_memory),
                       cnp.PyArray_DATA(workspace.packed), cnp.PyArray_DATA(layers), &length)
        plan.version = version
        plan.table = table
        return 0

    cdef size_t make_plan(self, const mlopt_kernels *table, DenseWorkspace workspace, char *steps, void *packed,
                          void *layers, size_t *length) noexcept:
        cdef void *parameters = cnp.PyArray_DATA(self.memory.array)
        cdef mlopt_plan *plan = &workspace.plan
        if self.is_f64:
            return mlopt_plan_make_f64(table, &self.network, <const double *>parameters, &workspace.at, layers, steps,
                                       <double *>packed, length, &plan.forward, plan.back)
        return mlopt_plan_make_f32(table, &self.network, <const float *>parameters, &workspace.at, layers, steps,
                                   <float *>packed, length, &plan.forward, plan.back)

    cdef inline void compute_prediction(self, const mlopt_kernels *table, const void *x, Workspace workspace,
                                        void *out) noexcept nogil:
        cdef void *parameters = self.memory.array.data
        if self.is_f64:
            mlopt_network_predict_f64(table, &self.network, &self.objective, <const double *>parameters,
                                      workspace.rows, <const double *>x, self.inputs, &workspace.at, <double *>out)
        elif self.is_short and workspace.rows > 1:
            mlopt_network_predict_bf16(table, &self.network, &self.objective, <const float *>parameters,
                                       workspace.rows, <const float *>x, self.inputs, &workspace.at, <float *>out)
        else:
            mlopt_network_predict_f32(table, &self.network, &self.objective, <const float *>parameters,
                                      workspace.rows, <const float *>x, self.inputs, &workspace.at, <float *>out)

    cdef inline int run_prediction(self, cnp.ndarray x, DenseWorkspace workspace, cnp.ndarray out) except -1:
        cdef const mlopt_kernels *table = table_now()
        if cnp.PyArray_NDIM(x) == 1 and self.packed_for(table, &workspace.plan):
            mlopt_plan_run(&workspace.plan, self.is_f64, x.data, out.data)
            if self.objective.link != MLOPT_LINK_NONE:
                self.apply_link(table, out.data)
            return 0
        return self.run_in_place(table, x, workspace, out)

    cdef void apply_link(self, const mlopt_kernels *table, void *out) noexcept nogil:
        if self.is_f64:
            mlopt_network_apply_link_f64(table, &self.objective, 1, <double *>out)
        else:
            mlopt_network_apply_link_f32(table, &self.objective, 1, <float *>out)

    cdef int run_in_place(self, const mlopt_kernels *table, cnp.ndarray x, DenseWorkspace workspace,
                          cnp.ndarray out) except -1:
        self.reserve(workspace, x)
        if workspace.rows == 0:
            return 0
        if not self.packed_for(table, &workspace.plan):
            self.see(table, workspace)
        if self.work(workspace) < RELEASE_WORK:
            self.compute_prediction(table, x.data, workspace, out.data)
            return 0
        with nogil:
            self.compute_prediction(table, x.data, workspace, out.data)
        return 0

    cdef cnp.ndarray result(self, out, cnp.ndarray x):
        cdef cnp.npy_intp shape[2]
        cdef int ndim = cnp.PyArray_NDIM(x)
        shape[0] = cnp.PyArray_DIM(x, 0)
        shape[ndim - 1] = self.objective.outputs
        return self.result_of(out, ndim, shape, x)

    # --- public ----------------------------------------------------------------------------------

    def predict(self, X, out=None):
        """The network's output for one sample or a batch.

        Parameters
        ----------
        X : array_like
            Shape (inputs,) or (samples, inputs).  A C-contiguous array of the model's dtype is used as
            it is, anything else converted first.
        out : ndarray, optional
            Where to put the result: shape (outputs,) or (samples, outputs), the model's dtype,
            C-contiguous, not overlapping `X`.

        Returns
        -------
        ndarray
            `out`, or a new array.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> model = mlopt.nn.MLP([3, 8, 2], rng=0)
        >>> model.predict(np.ones((5, 3), np.float32)).shape
        (5, 2)
        """
        cdef cnp.ndarray x = self.sample_array(X, "X")
        cdef cnp.ndarray result = self.result(out, x)
        self.run_prediction(x, <DenseWorkspace>self.here(), result)
        return result

    def bind(self, x, out):
        """A callable that predicts from `x` into `out`, both checked here once and for all.

        Parameters
        ----------
        x : ndarray
            (inputs,) or (samples, inputs), the model's dtype, C-contiguous; kept, and read in every call.
        out : ndarray
            (outputs,) or (samples, outputs), likewise; written in every call.

        Returns
        -------
        BoundPrediction
            Called without arguments; returns `out`.  Has a workspace of its own, sees every change
            of the model's parameters and follows :class:`mlopt.use_isa`.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> model = mlopt.nn.MLP([3, 8, 2], rng=0)
        >>> x, out = np.ones(3, np.float32), np.empty(2, np.float32)
        >>> infer = model.bind(x, out)
        >>> infer() is out
        True
        """
        cdef cnp.ndarray samples = self.sample_array(self.bindable(x, "x"), "x")
        if out is None:
            raise TypeError("out must be an ndarray, not None")
        return bind_prediction(self, samples, self.result(out, samples))

    def bind_gradient(self, x, y):
        """A callable that computes the gradient for `x` and `y`, both checked here once and for all.

        Parameters
        ----------
        x, y : ndarray
            As in :meth:`gradient`, but of the model's dtype and C-contiguous: `y` (outputs,) or
            (samples, outputs); kept, and read in every call.

        Returns
        -------
        BoundGradient
            Called without arguments; returns views like :meth:`gradient`, of a vector of its own.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> model = mlopt.nn.MLP([3, 8, 2], rng=0)
        >>> x, y = np.ones(3, np.float32), np.zeros(2, np.float32)
        >>> gradient = model.bind_gradient(x, y)
        >>> gradient() is gradient.gradients
        True
        """
        cdef cnp.ndarray samples = self.sample_array(self.bindable(x, "x"), "x")
        cdef cnp.ndarray target = self.bindable(y, "y")
        if not self.fits(target, samples):
            expected = (*np.shape(samples)[:cnp.PyArray_NDIM(samples) - 1], self.objective.outputs)
            raise ValueError(f"y must have shape {expected}, got {np.shape(target)}")
        if cnp.PyArray_SIZE(samples) == 0:
            raise ValueError("x must hold at least one sample, got none")
        return bind_gradient_of(self, samples, target)

    def quantize(self, calibration=None, mode="static", *, method="minmax"):
        """The network in 8-bit integers, for predictions.

        Weights become int8, with a scale for every output; the inputs of layers uint8.

        Parameters
        ----------
        calibration : array_like, shape (samples, inputs), optional
            Samples like those to come, a few hundred or more; needed for ``mode="static"``.
        mode : {"static", "dynamic"}, default "static"
            Where the scale of a layer's inputs comes from: from what the calibration samples put into it, once; or from
            the range of each sample's own, at every call, which takes a little longer and needs no samples.
        method : {"minmax", "percentile", "mse", "entropy"}, default "minmax"
            How the range is chosen from the calibration: see :func:`mlopt.quantization.calibrator`.

        Returns
        -------
        QuantizedMLP
            With the same `predict` and `bind`, and :meth:`QuantizedMLP.compare` to see what was lost.  Later changes of
            this model's parameters do not reach it.

        Raises
        ------
        ValueError
            If samples are missing, do not fit or are not finite, or the model has normalised layers.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> model = mlopt.nn.MLP([20, 32, 4], rng=0)
        >>> X = np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32)
        >>> model.quantize(X)
        <QuantizedMLP 20 - 32 - 4, static, 1056 bytes>
        """
        from mlopt.nn.quantize import quantize_mlp
        return quantize_mlp(self, calibration, mode, method)

    @property
    def layers(self):
        """Widths: inputs, hidden layers, outputs."""
        return self.widths

    @property
    def activation(self):
        """Activation of the hidden layers: one name, or one of each."""
        return self.activation_given

    @property
    def dropout(self):
        """Dropout rate of the hidden layers: one number, or one of each."""
        return same_or_each(self.rates, 0.0)

    @property
    def layer_norm(self):
        """Whether the hidden layers normalise their sums: one answer, or one of each."""
        return same_or_each(self.norms, False)

    @property
    def weights(self):
        """Weights (inputs, outputs) of every layer, views that may be written to."""
        return tuple([layer[0] for layer in self.parameters])

    @property
    def biases(self):
        """Biases (outputs,) of every layer, views that may be written to."""
        return tuple([layer[1] for layer in self.parameters])

    def _arguments(self):
        return {
            "layers": self.widths, "activation": self.activation_given, "output": self.output_name,
            "loss": self.loss_name, "optimizer": self.the_optimizer.__copy__(), "dtype": self.type.name,
            "dropout": self.dropout, "layer_norm": self.layer_norm, "l2": self.l2_factor,
            "huber_delta": self.huber_delta, "precision": self.precision_name,
        }


@cython.final
cdef class BoundPrediction(Bound):
    """One prediction between two arrays; made by :meth:`MLP.bind`."""
    cdef MLP model_
    cdef cnp.ndarray x_, out_
    cdef const void *x_data
    cdef void *out_data
    cdef bint direct  # the packed layers are all there is to do
    cdef DenseWorkspace workspace

    def __init__(self):
        raise TypeError("BoundPrediction is made by MLP.bind")

    def __call__(self):
        cdef const mlopt_kernels *table = table_now()
        if self.direct and self.model_.packed_for(table, &self.workspace.plan):
            mlopt_plan_run(&self.workspace.plan, self.model_.is_f64, self.x_data, self.out_data)
        else:
            self.model_.run_prediction(self.x_, self.workspace, self.out_)
        return self.out_

    cdef int predict(self, const mlopt_kernels *table, const void *x, void *out) noexcept nogil:
        if not self.model_.packed_for(table, &self.workspace.plan):
            return self.predict_anew(table, x, out)
        mlopt_plan_run(&self.workspace.plan, self.model_.is_f64, x, out)
        if not self.direct:
            self.model_.apply_link(table, out)
        return 0

    cdef int predict_anew(self, const mlopt_kernels *table, const void *x, void *out) noexcept with gil:
        # parameters that have changed, or a network that cannot be packed
        try:
            if x != self.x_data:
                memcpy(<void *>self.x_data, x, cnp.PyArray_NBYTES(self.x_))
            self.model_.run_in_place(table, self.x_, self.workspace, self.out_)
            if out != self.out_data:
                memcpy(out, self.out_data, cnp.PyArray_NBYTES(self.out_))
            return 0
        except Exception as error:
            self.error = error
            return -1

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


cdef BoundPrediction bind_prediction(MLP model, cnp.ndarray x, cnp.ndarray out):
    cdef BoundPrediction bound = BoundPrediction.__new__(BoundPrediction)
    bound.model_ = model
    bound.x_ = x
    bound.out_ = out
    bound.x_data = cnp.PyArray_DATA(x)
    bound.out_data = cnp.PyArray_DATA(out)
    bound.direct = cnp.PyArray_NDIM(x) == 1 and model.objective.link == MLOPT_LINK_NONE
    bound.workspace = DenseWorkspace()
    model.reserve(bound.workspace, x)
    return bound


@cython.final
cdef class BoundGradient:
    """The gradient at one pair of arrays; made by :meth:`MLP.bind_gradient`."""
    cdef MLP model_
    cdef cnp.ndarray x_, y_
    cdef const void *x_data
    cdef const void *y_data
    cdef bint one
    cdef DenseWorkspace workspace

    def __init__(self):
        raise TypeError("BoundGradient is made by MLP.bind_gradient")

    def __call__(self):
        if self.one and self.model_.ready(table_now(), self.workspace):
            self.model_.gradient_of_one(self.x_data, self.y_data, self.workspace)
        else:
            self.model_.run(Job.GRADIENT, self.x_, self.y_, None, self.workspace)
        return self.workspace.gradient_views

    @property
    def model(self):
        """The model it belongs to."""
        return self.model_

    @property
    def x(self):
        """The samples that are read."""
        return self.x_

    @property
    def y(self):
        """The targets that are read."""
        return self.y_

    @property
    def gradients(self):
        """For every layer its arrays: what a call fills and returns."""
        return self.workspace.gradient_views


cdef BoundGradient bind_gradient_of(MLP model, cnp.ndarray x, cnp.ndarray y):
    cdef BoundGradient bound = BoundGradient.__new__(BoundGradient)
    bound.model_ = model
    bound.x_ = x
    bound.y_ = y
    bound.x_data = cnp.PyArray_DATA(x)
    bound.y_data = cnp.PyArray_DATA(y)
    bound.one = cnp.PyArray_NDIM(x) == 1
    bound.workspace = DenseWorkspace()
    model.reserve(bound.workspace, x)
    model.need_gradient(bound.workspace)
    return bound


__all__ = ["MLP"]
