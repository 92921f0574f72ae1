"""Multilayer perceptrons: the public model over the C functions of network.h."""
import operator

cimport cython
cimport numpy as cnp
from libc.string cimport memset

import numpy as np

from mlopt._kernels.core cimport current_table, default_blocks
from mlopt._kernels.dispatch cimport mlopt_kernels
from mlopt.memory.aligned cimport aligned_array
from mlopt.nn.network cimport *
from mlopt.nn.optimizers cimport AdamW, Optimizer

cnp.import_array()

ACTIVATIONS = {
    "identity": MLOPT_IDENTITY, "relu": MLOPT_RELU, "tanh": MLOPT_TANH, "sigmoid": MLOPT_SIGMOID,
    "gelu": MLOPT_GELU, "silu": MLOPT_SILU,
}
LOSSES = {
    "mse": MLOPT_MSE, "cross_entropy": MLOPT_CROSS_ENTROPY, "binary_cross_entropy": MLOPT_BINARY_CROSS_ENTROPY,
}
# The outputs a loss goes with; those that are links are left out where the loss takes logits.
OUTPUTS = {
    "mse": tuple(ACTIVATIONS), "cross_entropy": ("softmax", "identity"),
    "binary_cross_entropy": ("sigmoid", "identity"),
}
LINKS = {
    ("cross_entropy", "softmax"): MLOPT_LINK_SOFTMAX, ("binary_cross_entropy", "sigmoid"): MLOPT_LINK_SIGMOID,
}
cdef size_t LINE = 64
# Multiply-adds of a call from which the GIL is released: releasing takes 25 ns, this much work 2 us.
cdef size_t RELEASE_WORK = 1 << 17


cdef cnp.ndarray vector(size_t length, int type_number, bint zeroed=True):
    cdef cnp.npy_intp shape = length
    return aligned_array(1, &shape, type_number, zeroed)


cdef str one_of(str name, value, choices):
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of: {', '.join(choices)}")
    return value


cdef bint overlap(cnp.ndarray a, cnp.ndarray b) noexcept:
    # of two contiguous arrays
    cdef char *first = <char *>cnp.PyArray_DATA(a)
    cdef char *second = <char *>cnp.PyArray_DATA(b)
    return first < second + cnp.PyArray_NBYTES(b) and second < first + cnp.PyArray_NBYTES(a)


cdef class Workspace:
    """Scratch memory of one model or bound object: activations, their gradients, packed matrices."""
    cdef mlopt_workspace at
    cdef cnp.ndarray samples, product
    cdef bint busy

    cdef inline int reserve(self, const mlopt_network *network, dtype, size_t rows) except -1:
        if self.busy:
            raise RuntimeError("the model is computing in another thread: use a lock, or one bound object per thread")
        if rows > self.at.capacity:
            self.grow(network, dtype, rows)
        return 0

    cdef int grow(self, const mlopt_network *network, dtype, size_t rows) except -1:
        self.at.blocks = default_blocks(dtype.itemsize)
        bytes_needed = mlopt_network_product_bytes(network, self.at.blocks, dtype.itemsize, rows)
        samples = vector(rows * network.sample, (<cnp.dtype>dtype).type_num, False)
        product = vector(bytes_needed, cnp.NPY_UINT8, False)
        self.samples, self.product = samples, product
        self.at.samples = cnp.PyArray_DATA(self.samples)
        self.at.product = cnp.PyArray_DATA(self.product)
        self.at.capacity = rows
        return 0


@cython.final
cdef class MLP:
    """Multilayer perceptron for CPU: low-latency inference and gradients, batch training.

    Parameters
    ----------
    layers : sequence of int
        Widths: inputs, hidden layers, outputs; at least two.
    activation : {"relu", "tanh", "sigmoid", "gelu", "silu", "identity"}, default "relu"
        Of the hidden layers; ``"gelu"`` is the exact form with the error function.
    output : str, default "identity"
        Activation of the last layer: one of the above with ``loss="mse"``; ``"softmax"`` with
        ``"cross_entropy"`` and ``"sigmoid"`` with ``"binary_cross_entropy"``.  With these two losses
        ``"identity"`` predicts logits.
    loss : {"mse", "cross_entropy", "binary_cross_entropy"}, default "mse"
        Defined as in PyTorch: the mean over all elements, for cross-entropy the mean over samples.
    optimizer : AdamW or SGD, optional
        :class:`AdamW` with its defaults if not given.  Its state belongs to the model; its numbers may
        be changed between steps.
    dtype : {"float32", "float64"}, default "float32"
        Of parameters and computation.
    rng : None, int, numpy.random.Generator, ..., optional
        For the initial weights, through :func:`numpy.random.default_rng`: He's normal distribution in
        front of relu, gelu and silu, Glorot's uniform one otherwise; biases are 0.

    Notes
    -----
    A model has one workspace: calls from several threads need a lock, or one bound object
    (:meth:`bind`, :meth:`bind_gradient`) per thread.  The GIL is released while a large batch is
    computed; a second call on the same model meanwhile is a RuntimeError.

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
    cdef size_t inputs, outputs, length, work
    cdef int type_number
    cdef bint is_f64
    cdef object type  # the dtype
    cdef tuple widths
    cdef str activation_name, output_name, loss_name
    cdef Optimizer the_optimizer
    cdef long long steps
    cdef cnp.ndarray parameter_vector, gradient_vector, moment_vectors
    cdef tuple parameter_views, gradient_views
    cdef Workspace workspace

    def __cinit__(self, layers, *, activation="relu", output="identity", loss="mse", optimizer=None, dtype="float32",
                  rng=None):
        self.widths = check_widths(layers)
        self.activation_name = one_of("activation", activation, ACTIVATIONS)
        self.loss_name = one_of("loss", loss, LOSSES)
        self.output_name = one_of("output", output, (*ACTIVATIONS, "softmax"))
        if output not in OUTPUTS[loss]:
            fitting = [name for name, outputs in OUTPUTS.items() if output in outputs]
            raise ValueError(f"output={output!r} goes with loss {' or '.join(map(repr, fitting))}, not {loss!r}")
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be AdamW or SGD, not {type(optimizer).__name__}")
        self.type = check_dtype(dtype)
        self.the_optimizer = AdamW() if optimizer is None else optimizer
        self.type_number = (<cnp.dtype>self.type).type_num
        self.is_f64 = self.type_number == cnp.NPY_DOUBLE
        self.inputs = self.widths[0]
        self.outputs = self.widths[len(self.widths) - 1]
        generator = np.random.default_rng(rng)
        self.lay_out()
        self.parameter_vector = vector(self.length, self.type_number)
        self.gradient_vector = vector(self.length, self.type_number)
        moments = vector(self.the_optimizer.vectors * self.length, self.type_number)
        self.moment_vectors = moments.reshape(-1, self.length)
        self.parameter_views = self.views(self.parameter_vector)
        self.gradient_views = self.views(self.gradient_vector)
        self.workspace = Workspace()
        self.initialise(generator)

    cdef lay_out(self):
        # layers, their places in the flat vector and in the workspace
        cdef size_t unit = LINE // <size_t>self.type.itemsize
        cdef size_t parameters = 0, sample = 0, widest = 0, i, count = len(self.widths) - 1
        cdef mlopt_layer *layer
        self.layer_memory = np.zeros(count * sizeof(mlopt_layer), np.uint8)
        self.work = 0
        link = LINKS.get((self.loss_name, self.output_name))
        for i in range(count):
            layer = <mlopt_layer *>cnp.PyArray_DATA(self.layer_memory) + i
            layer.inputs = self.widths[i]
            layer.outputs = self.widths[i + 1]
            layer.row = (layer.outputs + unit - 1) // unit * unit
            layer.weights = parameters
            layer.bias = parameters + layer.inputs * layer.row
            parameters = layer.bias + layer.row
            name = self.activation_name if i < count - 1 else "identity" if link is not None else self.output_name
            layer.activation = ACTIVATIONS[name]
            layer.z = layer.out = sample
            sample += layer.row
            if mlopt_keeps_sums(layer.activation):
                layer.z = sample
                sample += layer.row
            widest = max(widest, layer.row)
            self.work += layer.inputs * layer.outputs
        self.length = parameters
        self.network.layers = <mlopt_layer *>cnp.PyArray_DATA(self.layer_memory)
        self.network.count = count
        self.network.loss = LOSSES[self.loss_name]
        self.network.link = MLOPT_LINK_NONE if link is None else link
        self.network.targets = sample
        self.network.deltas[0] = sample + self.network.layers[count - 1].row
        self.network.deltas[1] = self.network.deltas[0] + widest
        self.network.sample = self.network.deltas[1] + widest

    cdef tuple views(self, cnp.ndarray flat):
        # (weights, biases) of every layer in a flat vector, without the padding
        cdef const mlopt_layer *layer
        cdef size_t i
        pairs = []
        for i in range(self.network.count):
            layer = self.network.layers + i
            weights = flat[layer.weights:layer.bias].reshape(layer.inputs, layer.row)[:, :layer.outputs]
            pairs.append((weights, flat[layer.bias:layer.bias + layer.outputs]))
        return tuple(pairs)

    cdef initialise(self, generator):
        last = len(self.parameter_views) - 1
        for i, (weights, _) in enumerate(self.parameter_views):
            inputs, outputs = weights.shape
            name = self.activation_name if i < last else self.output_name
            if name in ("relu", "gelu", "silu"):
                weights[...] = generator.standard_normal(weights.shape) * (2 / inputs) ** 0.5
            else:
                limit = (6 / (inputs + outputs)) ** 0.5
                weights[...] = generator.uniform(-limit, limit, weights.shape)

    # --- what is given ---------------------------------------------------------------------------

    cdef bint usable(self, array) except -1:
        # an array that the kernels can take as it is
        return (isinstance(array, cnp.ndarray) and cnp.PyArray_TYPE(<cnp.ndarray>array) == self.type_number
                and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array))

    cdef cnp.ndarray samples(self, X, str name):
        # (inputs,) or (rows, inputs) of the model's dtype, C-contiguous; X itself where it is that
        cdef cnp.ndarray x
        x = <cnp.ndarray>X if self.usable(X) else self.converted(X, name)
        cdef int ndim = cnp.PyArray_NDIM(x)
        if not (1 <= ndim <= 2) or <size_t>cnp.PyArray_DIM(x, ndim - 1) != self.inputs:
            raise ValueError(f"{name} must have shape ({self.inputs},) or (samples, {self.inputs}), got {np.shape(x)}")
        return x

    cdef cnp.ndarray converted(self, value, str name):
        array = np.asarray(value)
        if not np.can_cast(array.dtype, self.type, "same_kind"):
            raise TypeError(f"{name} must be numeric and fit {self.type}, got {array.dtype}")
        return np.require(array, self.type, ["C", "A"])

    cdef cnp.ndarray targets(self, y, cnp.ndarray x):
        # of the model's dtype, one row per sample; or class labels of type intp
        cdef int ndim = cnp.PyArray_NDIM(x)
        if (self.usable(y) and cnp.PyArray_NDIM(<cnp.ndarray>y) == ndim
                and <size_t>cnp.PyArray_DIM(<cnp.ndarray>y, ndim - 1) == self.outputs
                and (ndim == 1 or cnp.PyArray_DIM(<cnp.ndarray>y, 0) == cnp.PyArray_DIM(x, 0))):
            return <cnp.ndarray>y
        samples = np.shape(x)[:ndim - 1]
        given = np.asarray(y)
        if self.network.loss == MLOPT_CROSS_ENTROPY and given.dtype.kind in "iu" and given.shape == samples:
            if given.size and not (0 <= given.min() and given.max() < self.outputs):
                raise ValueError(f"y must hold class labels in [0, {self.outputs}), got "
                                 f"{given.min()} to {given.max()}")
            return np.require(given, np.intp, ["C", "A"])
        expected = (*samples, self.outputs)
        if given.shape != expected and not (self.outputs == 1 and given.shape == samples):
            labels = f", or be integer labels of shape {samples}" if self.network.loss == MLOPT_CROSS_ENTROPY else ""
            raise ValueError(f"y must have shape {expected}{labels}, got {given.shape} of {given.dtype}")
        return self.converted(given, "y")

    cdef cnp.ndarray result(self, out, cnp.ndarray x):
        cdef int ndim = cnp.PyArray_NDIM(x)
        cdef cnp.npy_intp shape[2]
        cdef cnp.ndarray array
        if out is None:
            shape[ndim - 1] = self.outputs
            if ndim == 2:
                shape[0] = cnp.PyArray_DIM(x, 0)
            return aligned_array(ndim, shape, self.type_number, False)
        if not isinstance(out, cnp.ndarray):
            raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
        array = <cnp.ndarray>out
        if cnp.PyArray_TYPE(array) != self.type_number:
            raise TypeError(f"out must be {self.type} as the model is, got {array.dtype}")
        if (cnp.PyArray_NDIM(array) != ndim or <size_t>cnp.PyArray_DIM(array, ndim - 1) != self.outputs
                or (ndim == 2 and cnp.PyArray_DIM(array, 0) != cnp.PyArray_DIM(x, 0))):
            raise ValueError(f"out must have shape {(*np.shape(x)[:ndim - 1], self.outputs)}, got {np.shape(array)}")
        if not cnp.PyArray_ISCARRAY(array):
            raise ValueError("out must be C-contiguous, aligned and writeable")
        if overlap(array, x):
            raise ValueError("out must not overlap the input")
        return array

    cdef cnp.ndarray bindable(self, array, str name):
        if not isinstance(array, cnp.ndarray):
            raise TypeError(f"{name} must be an ndarray, not {type(array).__name__}")
        if cnp.PyArray_TYPE(<cnp.ndarray>array) != self.type_number:
            raise TypeError(f"{name} must be {self.type} as the model is, got {array.dtype}")
        if not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array):
            raise ValueError(f"{name} must be C-contiguous and aligned")
        return <cnp.ndarray>array

    # --- what is computed ------------------------------------------------------------------------

    cdef inline void compute_prediction(self, const mlopt_kernels *table, size_t rows, const void *x,
                                        Workspace workspace, void *out) noexcept nogil:
        if self.is_f64:
            mlopt_network_predict_f64(table, &self.network, <const double *>self.parameter_vector.data, rows,
                                      <const double *>x, &workspace.at, <double *>out)
        else:
            mlopt_network_predict_f32(table, &self.network, <const float *>self.parameter_vector.data, rows,
                                      <const float *>x, &workspace.at, <float *>out)

    cdef inline double compute_gradient(self, const mlopt_kernels *table, size_t rows, const void *x,
                                        const void *target, size_t target_row, Workspace workspace,
                                        void *gradient) noexcept nogil:
        if self.is_f64:
            return mlopt_network_gradient_f64(
                table, &self.network, <const double *>self.parameter_vector.data, rows, <const double *>x,
                <const double *>target, target_row, &workspace.at, <double *>gradient)
        return mlopt_network_gradient_f32(
            table, &self.network, <const float *>self.parameter_vector.data, rows, <const float *>x,
            <const float *>target, target_row, &workspace.at, <float *>gradient)

    cdef inline double compute_loss(self, const mlopt_kernels *table, size_t rows, const void *x, const void *target,
                                    size_t target_row, Workspace workspace) noexcept nogil:
        if self.is_f64:
            return mlopt_network_loss_f64(
                table, &self.network, <const double *>self.parameter_vector.data, rows, <const double *>x,
                <const double *>target, target_row, &workspace.at)
        return mlopt_network_loss_f32(
            table, &self.network, <const float *>self.parameter_vector.data, rows, <const float *>x,
            <const float *>target, target_row, &workspace.at)

    cdef void compute_step(self, const mlopt_kernels *table) noexcept nogil:
        cdef const double *rates = self.the_optimizer.rates
        cdef bint adamw = self.the_optimizer.vectors == 2
        self.steps += 1
        if adamw and self.is_f64:
            mlopt_network_adamw_f64(table, self.length, rates, <double>self.steps,
                                    <const double *>self.gradient_vector.data, <double *>self.moment_vectors.data,
                                    <double *>self.parameter_vector.data)
        elif adamw:
            mlopt_network_adamw_f32(table, self.length, rates, <double>self.steps,
                                    <const float *>self.gradient_vector.data, <float *>self.moment_vectors.data,
                                    <float *>self.parameter_vector.data)
        elif self.is_f64:
            mlopt_network_sgd_f64(table, self.length, rates, <const double *>self.gradient_vector.data,
                                  <double *>self.moment_vectors.data, <double *>self.parameter_vector.data)
        else:
            mlopt_network_sgd_f32(table, self.length, rates, <const float *>self.gradient_vector.data,
                                  <float *>self.moment_vectors.data, <float *>self.parameter_vector.data)

    cdef int run_prediction(self, cnp.ndarray x, Workspace workspace, cnp.ndarray out) except -1:
        cdef const mlopt_kernels *table = current_table()
        cdef size_t rows = 1 if cnp.PyArray_NDIM(x) == 1 else cnp.PyArray_DIM(x, 0)
        workspace.reserve(&self.network, self.type, rows)
        if rows == 0:
            return 0
        if rows * self.work < RELEASE_WORK:
            self.compute_prediction(table, rows, x.data, workspace, out.data)
            return 0
        workspace.busy = True
        with nogil:
            self.compute_prediction(table, rows, x.data, workspace, out.data)
        workspace.busy = False
        return 0

    cdef double run(self, int job, cnp.ndarray x, cnp.ndarray y, Workspace workspace,
                    cnp.ndarray gradient) except? -1:
        # the loss (job 0), with the gradient (1), with the optimiser's step (2)
        cdef const mlopt_kernels *table = current_table()
        cdef size_t rows = 1 if cnp.PyArray_NDIM(x) == 1 else cnp.PyArray_DIM(x, 0)
        if rows == 0:
            raise ValueError("X must hold at least one sample, got none")
        workspace.reserve(&self.network, self.type, rows)
        cdef const void *target = y.data
        cdef size_t target_row = self.outputs
        if cnp.PyArray_TYPE(y) != self.type_number:
            target_row = self.network.layers[self.network.count - 1].row
            target = self.one_hot(rows, <const cnp.npy_intp *>y.data, target_row, workspace)
        if rows * self.work < RELEASE_WORK:
            return self.run_without_checks(table, job, rows, x.data, target, target_row, workspace, gradient)
        cdef double loss
        workspace.busy = True
        with nogil:
            loss = self.run_without_checks(table, job, rows, x.data, target, target_row, workspace, gradient)
        workspace.busy = False
        return loss

    cdef inline double run_without_checks(self, const mlopt_kernels *table, int job, size_t rows, const void *x,
                                          const void *target, size_t target_row, Workspace workspace,
                                          cnp.ndarray gradient) noexcept nogil:
        cdef double loss
        if job == 0:
            return self.compute_loss(table, rows, x, target, target_row, workspace)
        loss = self.compute_gradient(table, rows, x, target, target_row, workspace, gradient.data)
        if job == 2:
            self.compute_step(table)
        return loss

    cdef void *one_hot(self, size_t rows, const cnp.npy_intp *labels, size_t row, Workspace workspace) noexcept:
        cdef size_t i, itemsize = 8 if self.is_f64 else 4
        cdef char *targets = <char *>workspace.at.samples + self.network.targets * workspace.at.capacity * itemsize
        memset(targets, 0, rows * row * itemsize)
        for i in range(rows):
            if self.is_f64:
                (<double *>targets)[i * row + <size_t>labels[i]] = 1
            else:
                (<float *>targets)[i * row + <size_t>labels[i]] = 1
        return targets

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
        cdef cnp.ndarray x = self.samples(X, "X")
        cdef cnp.ndarray result = self.result(out, x)
        self.run_prediction(x, self.workspace, result)
        return result

    def gradient(self, x, y):
        """Gradient of the loss with respect to all parameters.

        Parameters
        ----------
        x : array_like
            One sample (inputs,) or a batch (samples, inputs).
        y : array_like
            Its target: (outputs,) or (samples, outputs); with a single output also without that axis;
            with cross-entropy also integer class labels.

        Returns
        -------
        tuple of (ndarray, ndarray)
            For every layer the gradient of weights (inputs, outputs) and biases (outputs,), of the mean
            loss over the batch.  Views of one vector that belongs to the model: the same objects in
            every call, overwritten by the next one and by :meth:`train_step`.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> model = mlopt.nn.MLP([3, 8, 2], rng=0)
        >>> [(w.shape, b.shape) for w, b in model.gradient(np.ones(3), np.zeros(2))]
        [((3, 8), (8,)), ((8, 2), (2,))]
        """
        cdef cnp.ndarray samples = self.samples(x, "x")
        cdef cnp.ndarray target = self.targets(y, samples)
        self.run(1, samples, target, self.workspace, self.gradient_vector)
        return self.gradient_views

    def train_step(self, X, y):
        """One step of the optimiser on one sample or a batch.

        Parameters
        ----------
        X, y : array_like
            As in :meth:`gradient`.

        Returns
        -------
        float
            The mean loss before the step.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> model = mlopt.nn.MLP([3, 8, 1], rng=0)
        >>> losses = [model.train_step(np.ones(3), 1.0) for _ in range(100)]
        >>> losses[-1] < losses[0]
        True
        """
        cdef cnp.ndarray samples = self.samples(X, "X")
        cdef cnp.ndarray target = self.targets(y, samples)
        return self.run(2, samples, target, self.workspace, self.gradient_vector)

    def loss(self, X, y):
        """Mean loss on one sample or a batch; nothing is changed.

        Parameters
        ----------
        X, y : array_like
            As in :meth:`gradient`.

        Returns
        -------
        float
        """
        cdef cnp.ndarray samples = self.samples(X, "X")
        cdef cnp.ndarray target = self.targets(y, samples)
        return self.run(0, samples, target, self.workspace, None)

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
        cdef cnp.ndarray samples = self.samples(self.bindable(x, "x"), "x")
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
        cdef cnp.ndarray samples = self.samples(self.bindable(x, "x"), "x")
        cdef cnp.ndarray target = self.bindable(y, "y")
        expected = (*np.shape(samples)[:cnp.PyArray_NDIM(samples) - 1], self.outputs)
        if np.shape(target) != expected:
            raise ValueError(f"y must have shape {expected}, got {np.shape(target)}")
        if cnp.PyArray_SIZE(samples) == 0:
            raise ValueError("x must hold at least one sample, got none")
        return bind_gradient_of(self, samples, target)

    @property
    def layers(self):
        """Widths: inputs, hidden layers, outputs."""
        return self.widths

    @property
    def activation(self):
        """Activation of the hidden layers."""
        return self.activation_name

    @property
    def output(self):
        """Activation of the last layer."""
        return self.output_name

    @property
    def loss_function(self):
        """Name of the loss."""
        return self.loss_name

    @property
    def optimizer(self):
        """The optimiser; its numbers may be changed between steps."""
        return self.the_optimizer

    @property
    def dtype(self):
        """Of parameters and computation."""
        return self.type

    @property
    def parameters(self):
        """For every layer (weights, biases), views that may be written to."""
        return self.parameter_views

    @property
    def weights(self):
        """Weights (inputs, outputs) of every layer, views that may be written to."""
        return tuple([weights for weights, _ in self.parameter_views])

    @property
    def biases(self):
        """Biases (outputs,) of every layer, views that may be written to."""
        return tuple([biases for _, biases in self.parameter_views])

    def get_state(self):
        """All that training changed, as a dictionary of copies.

        Returns
        -------
        dict
            ``parameters``: weights and biases of all layers in one vector; ``moments``: the optimiser's
            running means, one row each in the same order; ``steps``: the number of steps taken.
        """
        moments = [flattened(self.views(row)) for row in self.moment_vectors]
        return {"parameters": flattened(self.parameter_views), "moments": np.stack(moments), "steps": self.steps}

    def set_state(self, state):
        """Take over what :meth:`get_state` of a model with the same layers and optimiser returned.

        Parameters
        ----------
        state : dict
            As returned by :meth:`get_state`; checked as a whole before anything is changed.
        """
        try:
            parameters, moments, steps = state["parameters"], state["moments"], state["steps"]
        except (KeyError, TypeError, IndexError):
            raise ValueError("state must be a dictionary with parameters, moments and steps") from None
        size = sum([weights.size + biases.size for weights, biases in self.parameter_views])
        parameters = self.converted(parameters, "state['parameters']")
        moments = self.converted(moments, "state['moments']")
        if parameters.shape != (size,):
            raise ValueError(f"state['parameters'] must have shape {(size,)}, got {parameters.shape}")
        if moments.shape != (self.the_optimizer.vectors, size):
            raise ValueError(f"state['moments'] must have shape {(self.the_optimizer.vectors, size)}, "
                             f"got {moments.shape}")
        steps = operator.index(steps)
        if not 0 <= steps < 1 << 62:
            raise ValueError(f"state['steps'] must be at least 0, got {steps}")
        unpack(parameters, self.parameter_views)
        for row, values in zip(self.moment_vectors, moments, strict=True):
            unpack(values, self.views(row))
        self.steps = steps

    def copy(self):
        """An independent model in the same state.

        Returns
        -------
        MLP
        """
        return restore(self._arguments(), self.get_state())

    def _arguments(self):
        return {
            "layers": self.widths, "activation": self.activation_name, "output": self.output_name,
            "loss": self.loss_name, "optimizer": self.the_optimizer.__copy__(), "dtype": self.type.name,
        }

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return restore, (self._arguments(), self.get_state())

    def __repr__(self):
        return (f"MLP({list(self.widths)}, activation={self.activation_name!r}, output={self.output_name!r}, "
                f"loss={self.loss_name!r}, optimizer={self.the_optimizer!r}, dtype={self.type.name!r})")


def restore(arguments, state):
    """A model from what it was created with and its state: what pickles call."""
    arguments = dict(arguments)
    model = MLP(arguments.pop("layers"), **arguments, rng=0)
    model.set_state(state)
    return model


cdef flattened(views):
    # without padding, in order
    return np.concatenate([part.ravel() for pair in views for part in pair])


cdef unpack(values, views):
    at = 0
    for pair in views:
        for part in pair:
            part[...] = values[at:at + part.size].reshape(part.shape)
            at += part.size


cdef tuple check_widths(layers):
    if isinstance(layers, (str, bytes)):
        raise TypeError(f"layers must be a sequence of integers, not {type(layers).__name__}")
    try:
        widths = tuple([operator.index(width) for width in layers])
    except TypeError:
        raise TypeError(f"layers must be a sequence of integers, got {layers!r}") from None
    if len(widths) < 2:
        raise ValueError(f"layers must name at least inputs and outputs, got {list(widths)}")
    for width in widths:
        if not 1 <= width <= 1 << 24:
            raise ValueError(f"layers must be widths from 1 to {1 << 24}, got {width}")
    return widths


cdef object check_dtype(dtype):
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r}") from None
    if found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be float32 or float64, got {found}")
    return found


@cython.final
cdef class BoundPrediction:
    """One prediction between two arrays; made by :meth:`MLP.bind`."""
    cdef MLP model_
    cdef cnp.ndarray x_, out_
    cdef Workspace workspace

    def __init__(self):
        raise TypeError("BoundPrediction is made by MLP.bind")

    def __call__(self):
        self.model_.run_prediction(self.x_, self.workspace, self.out_)
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


cdef BoundPrediction bind_prediction(MLP model, cnp.ndarray x, cnp.ndarray out):
    cdef BoundPrediction bound = BoundPrediction.__new__(BoundPrediction)
    bound.model_ = model
    bound.x_ = x
    bound.out_ = out
    bound.workspace = Workspace()
    bound.workspace.reserve(&model.network, model.type, 1 if x.ndim == 1 else x.shape[0])
    return bound


@cython.final
cdef class BoundGradient:
    """The gradient at one pair of arrays; made by :meth:`MLP.bind_gradient`."""
    cdef MLP model_
    cdef cnp.ndarray x_, y_, vector
    cdef tuple views
    cdef Workspace workspace

    def __init__(self):
        raise TypeError("BoundGradient is made by MLP.bind_gradient")

    def __call__(self):
        self.model_.run(1, self.x_, self.y_, self.workspace, self.vector)
        return self.views

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
        """For every layer (weights, biases): what a call fills and returns."""
        return self.views


cdef BoundGradient bind_gradient_of(MLP model, cnp.ndarray x, cnp.ndarray y):
    cdef BoundGradient bound = BoundGradient.__new__(BoundGradient)
    bound.model_ = model
    bound.x_ = x
    bound.y_ = y
    bound.vector = vector(model.length, model.type_number)
    bound.views = model.views(bound.vector)
    bound.workspace = Workspace()
    bound.workspace.reserve(&model.network, model.type, 1 if x.ndim == 1 else x.shape[0])
    return bound


__all__ = ["MLP"]
