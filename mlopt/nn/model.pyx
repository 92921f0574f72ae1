"""What multilayer perceptrons and LSTMs share: parameters in one flat vector, optimiser, workspaces, training."""
import operator
import threading
from numbers import Real

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES
from cpython.pythread cimport PyThread_get_thread_ident
from libc.math cimport isfinite
from libc.string cimport memset

import numpy as np

from mlopt._kernels.atomics cimport (
    mlopt_count_add,
    mlopt_flag_set,
    mlopt_flag_take,
    mlopt_owner_get,
    mlopt_owner_take,
)
from mlopt._kernels.core cimport current_table
from mlopt._kernels.threads cimport gemm_threads, team_run, team_size
from mlopt.memory.aligned cimport aligned_array
from mlopt.nn.network cimport *
from mlopt.nn.optimizers cimport AdamW

from mlopt.nn.training import fit as fit_model

cnp.import_array()

LOSSES = {
    "mse": MLOPT_MSE, "huber": MLOPT_HUBER, "cross_entropy": MLOPT_CROSS_ENTROPY,
    "binary_cross_entropy": MLOPT_BINARY_CROSS_ENTROPY,
}
# Outputs that are links, which losses that take logits skip; without one these losses predict logits.
LINKS = {
    ("cross_entropy", "softmax"): MLOPT_LINK_SOFTMAX, ("binary_cross_entropy", "sigmoid"): MLOPT_LINK_SIGMOID,
}
PRECISIONS = ("full", "bf16")
LOGIT_OUTPUTS = {"cross_entropy": ("softmax", "identity"), "binary_cross_entropy": ("sigmoid", "identity")}
cdef size_t LINE = 64
# Multiply-adds of a call from which the GIL is released: releasing takes 25 ns, this much work 2 us.
cdef size_t RELEASE_WORK = 1 << 17
# A network's threads meet after every layer, more often than those of one product: so many times more work must lie
# between two meetings than a product needs to be shared.  Where other processes take a core, a meeting takes a time
# slice.
cdef double MEETING = 4


cdef cnp.ndarray vector(size_t length, int type_number, bint zeroed=True):
    cdef cnp.npy_intp shape = length
    return aligned_array(1, &shape, type_number, zeroed)


cdef str one_of(str name, value, choices):
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of: {', '.join(choices)}")
    return value


cdef double number_in(str name, value, double low, double high, str expected) except? -1:
    if type(value) is not float and (not isinstance(value, Real) or isinstance(value, bool)):
        raise TypeError(f"{name} must be a real number, not {type(value).__name__}")
    cdef double number = value
    if not isfinite(number) or not low <= number < high:
        raise ValueError(f"{name} must be {expected}, got {value!r}")
    return number


cdef bint overlap(cnp.ndarray a, cnp.ndarray b) noexcept:
    # of two contiguous arrays
    cdef char *first = <char *>cnp.PyArray_DATA(a)
    cdef char *second = <char *>cnp.PyArray_DATA(b)
    return first < second + cnp.PyArray_NBYTES(b) and second < first + cnp.PyArray_NBYTES(a)


cdef class ParameterMemory:
    """The parameters' memory, which counts the views of it that are alive."""

    def __cinit__(self, size_t length, int type_number):
        self.array = vector(length, type_number)
        self.format = b"d" if type_number == cnp.NPY_DOUBLE else b"f"
        self.shape[0] = length
        self.strides[0] = cnp.PyArray_ITEMSIZE(self.array)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        buffer.obj = self
        buffer.buf = cnp.PyArray_DATA(self.array)
        buffer.len = cnp.PyArray_NBYTES(self.array)
        buffer.readonly = 0
        buffer.itemsize = self.strides[0]
        buffer.format = <char *>self.format if flags & PyBUF_FORMAT else NULL
        buffer.ndim = 1
        buffer.shape = self.shape if flags & PyBUF_ND else NULL
        buffer.strides = self.strides if (flags & PyBUF_STRIDES) == PyBUF_STRIDES else NULL
        buffer.suboffsets = NULL
        buffer.internal = NULL
        mlopt_count_add(&self.exports, 1)

    def __releasebuffer__(self, Py_buffer *buffer):
        # in this order: without views, the version is that of what they wrote
        mlopt_count_add(&self.version, 1)
        mlopt_count_add(&self.exports, -1)


cdef class Workspace:
    """Scratch memory of one thread or one bound object."""


cdef class Model:
    """Common base of :class:`MLP` and :class:`LSTM`."""

    def __init__(self, *args, **kwargs):
        if type(self) is Model:
            raise TypeError("Model is abstract: use MLP or LSTM")

    # --- beginning -------------------------------------------------------------------------------

    cdef int set_type(self, dtype, precision) except -1:
        try:
            found = np.dtype(dtype)
        except TypeError:
            raise TypeError(f"dtype must be float32 or float64, got {dtype!r}") from None
        if found not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ValueError(f"dtype must be float32 or float64, got {found}")
        self.type = found
        self.type_number = (<cnp.dtype>found).type_num
        self.is_f64 = self.type_number == cnp.NPY_DOUBLE
        self.precision_name = "full" if precision is None else one_of("precision", precision, PRECISIONS)
        self.is_short = self.precision_name == "bf16"
        if self.is_short and self.is_f64:
            raise ValueError("precision='bf16' needs dtype='float32', got dtype='float64'")
        return 0

    cdef int set_objective(self, loss, output, size_t outputs, huber_delta, activations) except -1:
        self.loss_name = one_of("loss", loss, LOSSES)
        self.output_name = one_of("output", output, (*activations, "softmax"))
        fitting = LOGIT_OUTPUTS.get(loss, activations)
        if output not in fitting:
            losses = [name for name in LOSSES if output in LOGIT_OUTPUTS.get(name, activations)]
            raise ValueError(f"output={output!r} goes with loss {' or '.join(map(repr, losses))}, not {loss!r}")
        self.objective.outputs = outputs
        self.objective.loss = LOSSES[loss]
        self.objective.link = LINKS.get((loss, output), MLOPT_LINK_NONE)
        self.objective.huber_threshold = number_in("huber_delta", huber_delta, 1e-30, float("inf"),
                                                   "positive and finite")
        return 0

    cdef size_t place(self, list into, size_t at, tuple shape):
        # notes an array of the flat vector; returns where the next one may begin
        cdef size_t unit = LINE // <size_t>self.type.itemsize, size = 1
        for length in shape:
            size *= <size_t>length
        into.append((at, shape))
        return (at + size + unit - 1) // unit * unit

    cdef int begin(self, optimizer, double l2) except -1:
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be AdamW or SGD, not {type(optimizer).__name__}")
        self.the_optimizer = AdamW() if optimizer is None else optimizer
        self.l2_factor = l2
        self.memory = ParameterMemory(self.length, self.type_number)
        moments = vector(self.the_optimizer.vectors * self.length, self.type_number)
        self.moment_vectors = moments.reshape(-1, self.length)
        self.others = {}
        self.main = self.new_workspace()
        return 0

    # --- what a subclass brings ------------------------------------------------------------------

    cdef Workspace new_workspace(self):
        return Workspace()

    cdef int reserve(self, Workspace workspace, cnp.ndarray x) except -1:
        return 0

    cdef size_t work(self, Workspace workspace) noexcept:
        return 0

    cdef tuple target_lead(self, cnp.ndarray x, y):
        return ()

    cdef cnp.ndarray sample_array(self, X, str name):
        return None

    cdef double compute(self, const mlopt_kernels *table, Job job, const void *x, const mlopt_targets *targets,
                        Workspace workspace, void *gradient) noexcept nogil:
        return 0

    # --- parameters ------------------------------------------------------------------------------

    cdef Workspace here(self):
        cdef unsigned long thread = PyThread_get_thread_ident(), owner = mlopt_owner_get(&self.main.owner)
        if owner == thread or (owner == 0 and mlopt_owner_take(&self.main.owner, thread)):
            return self.main
        try:
            return <Workspace>self.others[thread]
        except KeyError:
            return self.first_here(thread)

    cdef Workspace first_here(self, unsigned long thread):
        # A thread's key is its own, and single operations of a dictionary are whole without the GIL, too.
        cdef Workspace workspace = self.new_workspace()
        workspace.owner = thread
        # threads come and go: those that have ended, before we look, leave their workspace behind
        known = list(self.others)
        alive = {running.ident for running in threading.enumerate()}
        for ident in known:
            if ident not in alive:
                self.others.pop(ident, None)
        self.others[thread] = workspace
        return workspace

    cdef int gather(self, Workspace workspace, mlopt_workspace *at, size_t work) except -1:
        # the crew where its members meet after so many multiply-adds, with room for its products
        cdef size_t needed
        at.crew.size = gemm_threads(<double>work / MEETING, team_size()) if work > RELEASE_WORK else 1
        at.crew.run = team_run
        needed = at.product_bytes * <size_t>at.crew.size
        if needed > 0 and (workspace.product is None or <size_t>cnp.PyArray_SIZE(workspace.product) < needed):
            workspace.product = vector(needed, cnp.NPY_UINT8, False)
            at.product = <char *>cnp.PyArray_DATA(workspace.product)
        return 0

    cdef tuple views(self, cnp.ndarray flat):
        # of every layer its arrays in a flat vector
        layers = []
        for layer in self.places:
            parts = []
            for offset, shape in layer:
                size = 1
                for length in shape:
                    size *= length
                parts.append(flat[offset:offset + size].reshape(shape))
            layers.append(tuple(parts))
        return tuple(layers)

    @property
    def parameters(self):
        """For every layer its arrays: views that may be written to.  While any is held, single samples are predicted
        from the parameters in place, a little slower than from a packed copy."""
        return self.views(np.frombuffer(self.memory, self.type))

    def set_parameters(self, parameters):
        """Take over parameters, checked as a whole before anything is changed.

        Parameters
        ----------
        parameters : sequence of sequences of array_like
            As in :attr:`parameters`: for every layer its arrays.
        """
        views = self.views(self.memory.array)
        try:
            given = [list(layer) for layer in parameters]
        except TypeError:
            raise TypeError(f"parameters must be one sequence of arrays a layer, got {parameters!r}") from None
        if [len(layer) for layer in given] != [len(layer) for layer in views]:
            raise ValueError(f"parameters must hold {[len(layer) for layer in views]} arrays for the layers, got "
                             f"{[len(layer) for layer in given]}")
        checked = []
        for i, (layer, view) in enumerate(zip(given, views, strict=True)):
            for j, (part, place) in enumerate(zip(layer, view, strict=True)):
                array = self.converted(part, f"parameters[{i}][{j}]")
                if np.shape(array) != np.shape(place):
                    raise ValueError(f"parameters[{i}][{j}] must have shape {np.shape(place)}, got {np.shape(array)}")
                # arrays of the model itself may go to each other's places
                checked.append((place, array.copy() if overlap(array, self.memory.array) else array))
        for place, array in checked:
            place[...] = array
        mlopt_count_add(&self.memory.version, 1)

    def get_state(self):
        """All that training changed, as a dictionary of copies.

        Returns
        -------
        dict
            ``parameters``: all arrays of all layers in one vector; ``moments``: the optimiser's
            running means, one row each in the same order; ``steps``: the number of steps taken; ``seed``: what
            dropout is drawn from.
        """
        moments = [flattened(self.views(row)) for row in self.moment_vectors]
        return {"parameters": flattened(self.views(self.memory.array)), "moments": np.stack(moments),
                "steps": self.steps, "seed": self.seed}

    def set_state(self, state):
        """Take over what :meth:`get_state` of a model with the same layers and optimiser returned.

        Parameters
        ----------
        state : dict
            As returned by :meth:`get_state`; checked as a whole before anything is changed.  Without ``seed``, dropout
            goes on from the model's own.
        """
        try:
            parameters, moments, steps = state["parameters"], state["moments"], state["steps"]
            seed = state["seed"] if "seed" in state else self.seed
        except (KeyError, TypeError, IndexError):
            raise ValueError("state must be a dictionary with parameters, moments and steps") from None
        views = self.views(self.memory.array)
        size = sum([part.size for layer in views for part in layer])
        parameters = self.converted(parameters, "state['parameters']")
        moments = self.converted(moments, "state['moments']")
        if parameters.shape != (size,):
            raise ValueError(f"state['parameters'] must have shape {(size,)}, got {parameters.shape}")
        if moments.shape != (self.the_optimizer.vectors, size):
            raise ValueError(f"state['moments'] must have shape {(self.the_optimizer.vectors, size)}, "
                             f"got {moments.shape}")
        steps, seed = operator.index(steps), operator.index(seed)
        if not 0 <= steps < 1 << 62:
            raise ValueError(f"state['steps'] must be at least 0, got {steps}")
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"state['seed'] must be in [0, 2**64), got {seed}")
        unpack(parameters, views)
        for row, values in zip(self.moment_vectors, moments, strict=True):
            unpack(values, self.views(row))
        self.steps, self.seed = steps, seed
        mlopt_count_add(&self.memory.version, 1)

    @property
    def optimizer(self):
        """The optimiser; its numbers may be changed between steps."""
        return self.the_optimizer

    @property
    def dtype(self):
        """Of parameters and computation."""
        return self.type

    @property
    def precision(self):
        """Of the matrix products of batches: ``"full"``, that of the dtype, or ``"bf16"``."""
        return self.precision_name

    @property
    def output(self):
        """What turns the last sums into the prediction."""
        return self.output_name

    @property
    def loss_function(self):
        """Name of the loss."""
        return self.loss_name

    @property
    def l2(self):
        """Factor of the penalty ``l2 / 2 * sum(weights ** 2)``; may be set between steps."""
        return self.l2_factor

    @l2.setter
    def l2(self, value):
        self.l2_factor = number_in("l2", value, 0, float("inf"), "at least 0 and finite")

    @property
    def huber_delta(self):
        """Where Huber's loss goes on as a line."""
        return self.objective.huber_threshold

    # --- what is given ---------------------------------------------------------------------------

    cdef bint usable(self, array) except -1:
        # an array that the kernels can take as it is
        return (isinstance(array, cnp.ndarray) and cnp.PyArray_TYPE(<cnp.ndarray>array) == self.type_number
                and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array))

    cdef cnp.ndarray converted(self, value, str name):
        array = np.asarray(value)
        if not np.can_cast(array.dtype, self.type, "same_kind"):
            raise TypeError(f"{name} must be numeric and fit {self.type}, got {array.dtype}")
        return np.require(array, self.type, ["C", "A"])

    cdef cnp.ndarray bindable(self, array, str name):
        if not isinstance(array, cnp.ndarray):
            raise TypeError(f"{name} must be an ndarray, not {type(array).__name__}")
        if cnp.PyArray_TYPE(<cnp.ndarray>array) != self.type_number:
            raise TypeError(f"{name} must be {self.type} as the model is, got {array.dtype}")
        if not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array):
            raise ValueError(f"{name} must be C-contiguous and aligned")
        return <cnp.ndarray>array

    cdef bint fits(self, cnp.ndarray y, cnp.ndarray x) noexcept:
        # one row of outputs a sample
        cdef int i, lead = cnp.PyArray_NDIM(x) - self.sample_ndim
        if cnp.PyArray_NDIM(y) != lead + 1 or <size_t>cnp.PyArray_DIM(y, lead) != self.objective.outputs:
            return False
        for i in range(lead):
            if cnp.PyArray_DIM(y, i) != cnp.PyArray_DIM(x, i):
                return False
        return True

    cdef bint are_labels(self, y, cnp.ndarray x) except -1:
        # one class a sample, as the kernels can take it
        cdef int i, lead = cnp.PyArray_NDIM(x) - self.sample_ndim
        if not (isinstance(y, cnp.ndarray) and cnp.PyArray_TYPE(<cnp.ndarray>y) == cnp.NPY_INTP
                and cnp.PyArray_NDIM(<cnp.ndarray>y) == lead and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>y)):
            return False
        for i in range(lead):
            if cnp.PyArray_DIM(<cnp.ndarray>y, i) != cnp.PyArray_DIM(x, i):
                return False
        return True

    cdef cnp.ndarray target(self, y, cnp.ndarray x):
        # of the model's dtype, one row per sample; or class labels of type intp
        cdef size_t outputs = self.objective.outputs
        if self.usable(y) and self.fits(<cnp.ndarray>y, x):
            return <cnp.ndarray>y
        if self.objective.loss == MLOPT_CROSS_ENTROPY and self.are_labels(y, x):
            return <cnp.ndarray>y
        lead = self.target_lead(x, y)
        given = np.asarray(y)
        if self.loss_name == "cross_entropy" and given.dtype.kind in "iu" and given.shape == lead:
            return np.require(given, np.intp, ["C", "A"])
        expected = (*lead, outputs)
        if given.shape != expected and not (outputs == 1 and given.shape == lead):
            labels = f", or be integer labels of shape {lead}" if self.loss_name == "cross_entropy" else ""
            raise ValueError(f"y must have shape {expected}{labels}, got {given.shape} of {given.dtype}")
        return self.converted(given, "y")

    cdef cnp.ndarray result_of(self, out, int ndim, const cnp.npy_intp *shape, cnp.ndarray x):
        # out, checked, or a new array
        cdef cnp.ndarray array
        cdef int i
        cdef bint fits
        if out is None:
            return aligned_array(ndim, shape, self.type_number, False)
        if not isinstance(out, cnp.ndarray):
            raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
        array = <cnp.ndarray>out
        if cnp.PyArray_TYPE(array) != self.type_number:
            raise TypeError(f"out must be {self.type} as the model is, got {array.dtype}")
        fits = cnp.PyArray_NDIM(array) == ndim
        for i in range(ndim):
            fits = fits and cnp.PyArray_DIM(array, i) == shape[i]
        if not fits:
            raise ValueError(f"out must have shape {tuple([shape[i] for i in range(ndim)])}, got {np.shape(array)}")
        if not cnp.PyArray_ISCARRAY(array):
            raise ValueError("out must be C-contiguous, aligned and writeable")
        if overlap(array, x):
            raise ValueError("out must not overlap the input")
        return array

    cdef cnp.ndarray weights_of(self, sample_weight, cnp.npy_intp rows):
        weights = self.converted(sample_weight, "sample_weight")
        if np.shape(weights) != (rows,):
            raise ValueError(f"sample_weight must have shape ({rows},), one number a sample, got {np.shape(weights)}")
        if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
            raise ValueError("sample_weight must be finite, not negative, and not all 0")
        return weights

    # --- what is computed ------------------------------------------------------------------------

    cdef int need_gradient(self, Workspace workspace) except -1:
        if workspace.gradient_vector is None:
            workspace.gradient_vector = vector(self.length, self.type_number)
            workspace.gradient_views = self.views(workspace.gradient_vector)
        return 0

    cdef double run(self, Job job, cnp.ndarray x, cnp.ndarray y, sample_weight, Workspace workspace) except? -1:
        cdef const mlopt_kernels *table = current_table()
        cdef mlopt_targets targets
        cdef double loss
        cdef void *gradient = NULL
        self.reserve(workspace, x)
        if workspace.rows == 0:
            raise ValueError("X must hold at least one sample, got none")
        targets.values = cnp.PyArray_DATA(y)
        targets.row = self.objective.outputs
        targets.weights = NULL
        cdef cnp.npy_intp rows = cnp.PyArray_SIZE(y) // <cnp.npy_intp>self.objective.outputs
        if cnp.PyArray_TYPE(y) != self.type_number:
            rows = cnp.PyArray_SIZE(y)
            targets.values = self.one_hot_of(rows, <const cnp.npy_intp *>cnp.PyArray_DATA(y), workspace)
        targets.total = rows
        if sample_weight is not None:
            weights = self.weights_of(sample_weight, workspace.rows)
            workspace.weights = weights
            targets.weights = cnp.PyArray_DATA(workspace.weights)
            targets.total = float(np.sum(weights, dtype=np.float64)) * <double>(rows // <cnp.npy_intp>workspace.rows)
        if job != LOSS:
            if workspace.gradient_vector is None:
                self.need_gradient(workspace)
            gradient = cnp.PyArray_DATA(workspace.gradient_vector)
        if job == STEP and not mlopt_flag_take(&self.training):
            raise RuntimeError("the model is being trained in another thread: steps cannot overlap")
        if self.work(workspace) < RELEASE_WORK:
            loss = self.compute(table, job, cnp.PyArray_DATA(x), &targets, workspace, gradient)
        else:
            with nogil:
                loss = self.compute(table, job, cnp.PyArray_DATA(x), &targets, workspace, gradient)
        if job == STEP:
            mlopt_count_add(&self.memory.version, 1)
            mlopt_flag_set(&self.training, False)
        return loss

    @cython.cdivision(True)
    cdef void *one_hot_of(self, size_t rows, const cnp.npy_intp *labels, Workspace workspace) except NULL:
        cdef size_t i, outputs = self.objective.outputs
        if workspace.one_hot is None or <size_t>cnp.PyArray_SIZE(workspace.one_hot) < rows * outputs:
            workspace.one_hot = vector(rows * outputs, self.type_number, False)
        cdef char *targets = <char *>cnp.PyArray_DATA(workspace.one_hot)
        memset(targets, 0, rows * outputs * (8 if self.is_f64 else 4))
        for i in range(rows):
            if <size_t>labels[i] >= outputs:
                raise ValueError(f"y must hold class labels in [0, {outputs}), got {labels[i]}")
            if self.is_f64:
                (<double *>targets)[i * outputs + <size_t>labels[i]] = 1
            else:
                (<float *>targets)[i * outputs + <size_t>labels[i]] = 1
        return targets

    cdef double apply_gradient(self, const mlopt_kernels *table, void *gradient) noexcept nogil:
        # penalty, clipping, the optimiser's step; returns the penalty
        cdef const double *rates = self.the_optimizer.rates
        cdef void *parameters = self.memory.array.data
        cdef void *moments = self.moment_vectors.data
        cdef bint adamw = self.the_optimizer.vectors == 2
        cdef double penalty = 0
        if self.l2_factor > 0:
            penalty = self.penalise(table, gradient)
        if self.the_optimizer.most > 0:
            if self.is_f64:
                mlopt_network_clip_f64(table, self.length, self.the_optimizer.most, <double *>gradient)
            else:
                mlopt_network_clip_f32(table, self.length, self.the_optimizer.most, <float *>gradient)
        self.steps += 1
        if adamw and self.is_f64:
            mlopt_network_adamw_f64(table, self.length, rates, <double>self.steps, <const double *>gradient,
                                    <double *>moments, <double *>parameters)
        elif adamw:
            mlopt_network_adamw_f32(table, self.length, rates, <double>self.steps, <const float *>gradient,
                                    <float *>moments, <float *>parameters)
        elif self.is_f64:
            mlopt_network_sgd_f64(table, self.length, rates, <const double *>gradient, <double *>moments,
                                  <double *>parameters)
        else:
            mlopt_network_sgd_f32(table, self.length, rates, <const float *>gradient, <float *>moments,
                                  <float *>parameters)
        return penalty

    cdef double penalise(self, const mlopt_kernels *table, void *gradient) noexcept nogil:
        cdef double total = 0
        cdef size_t i
        cdef const size_t *spans = <const size_t *>self.spans.data
        for i in range(<size_t>self.span_count):
            if self.is_f64:
                total += mlopt_network_penalty_f64(
                    table, spans[2 * i + 1], self.l2_factor, <double *>self.memory.array.data + spans[2 * i],
                    <double *>gradient + spans[2 * i])
            else:
                total += mlopt_network_penalty_f32(
                    table, spans[2 * i + 1], self.l2_factor, <float *>self.memory.array.data + spans[2 * i],
                    <float *>gradient + spans[2 * i])
        return total

    # --- public ----------------------------------------------------------------------------------

    def gradient(self, x, y, sample_weight=None):
        """Gradient of the loss with respect to all parameters.

        Parameters
        ----------
        x : array_like
            One sample or a batch, as in ``predict``.
        y : array_like
            Its targets, the shape of a prediction; with a single output also without that axis;
            with cross-entropy also integer class labels.
        sample_weight : array_like, optional
            (samples,), not negative: the loss is the weighted mean.

        Returns
        -------
        tuple of tuples of ndarray
            As :attr:`parameters`: the gradient of the mean loss over the batch.  Views of one vector that belongs to
            the model and the calling thread: the same objects in every call of a thread, overwritten by its next
            one and by its :meth:`train_step`.  Dropout and penalty have no part in it.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> model = mlopt.nn.MLP([3, 8, 2], rng=0)
        >>> [(w.shape, b.shape) for w, b in model.gradient(np.ones(3), np.zeros(2))]
        [((3, 8), (8,)), ((8, 2), (2,))]
        """
        cdef cnp.ndarray samples = self.sample_array(x, "x")
        cdef Workspace workspace = self.here()
        self.run(GRADIENT, samples, self.target(y, samples), sample_weight, workspace)
        return workspace.gradient_views

    def train_step(self, X, y, sample_weight=None):
        """One step of the optimiser on one sample or a batch.

        Parameters
        ----------
        X, y, sample_weight : array_like
            As in :meth:`gradient`.

        Returns
        -------
        float
            The (weighted) mean loss before the step, and the penalty.

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> model = mlopt.nn.MLP([3, 8, 1], rng=0)
        >>> losses = [model.train_step(np.ones(3), 1.0) for _ in range(100)]
        >>> losses[-1] < losses[0]
        True
        """
        cdef cnp.ndarray samples = self.sample_array(X, "X")
        cdef cnp.ndarray targets = self.target(y, samples)
        # a schedule may call the model, so that it comes before anything is put into the workspace
        self.the_optimizer.prepare(self.steps)
        return self.run(STEP, samples, targets, sample_weight, self.here())

    def loss(self, X, y, sample_weight=None):
        """Mean loss on one sample or a batch, without dropout and penalty; nothing is changed.

        Parameters
        ----------
        X, y, sample_weight : array_like
            As in :meth:`gradient`.

        Returns
        -------
        float
        """
        cdef cnp.ndarray samples = self.sample_array(X, "X")
        return self.run(LOSS, samples, self.target(y, samples), sample_weight, self.here())

    def fit(self, X, y, *, epochs, batch_size=32, shuffle=True, sample_weight=None, validation=None, patience=None,
            min_delta=0.0, rng=None):
        """Train on batches of a data set, epoch after epoch.

        Parameters
        ----------
        X, y : array_like
            Samples and targets, a batch as in :meth:`gradient`.
        epochs : int
            Times that every sample is seen.
        batch_size : int, default 32
            Samples of a step; the last batch of an epoch may be smaller.
        shuffle : bool, default True
            Whether every epoch has an order of its own.
        sample_weight : array_like, optional
            (samples,), not negative.
        validation : tuple of array_like, optional
            (X, y) whose loss is noted after every epoch.
        patience : int, optional
            Epochs without a lower validation loss after which training ends; the model then is what it was at its
            best, as it is where the epochs end first.
        min_delta : float, default 0.0
            How much lower a validation loss has to be to count.
        rng : None, int, numpy.random.Generator, ..., optional
            For the order of the samples, through :func:`numpy.random.default_rng`.

        Returns
        -------
        History

        Examples
        --------
        >>> import numpy as np, mlopt
        >>> X = np.linspace(-1, 1, 200, dtype=np.float32)[:, None]
        >>> model = mlopt.nn.MLP([1, 32, 1], activation="tanh", optimizer=mlopt.nn.AdamW(lr=0.01), rng=0)
        >>> history = model.fit(X, np.sin(3 * X), epochs=100, rng=0)
        >>> history.loss[-1] < 0.01
        True
        """
        cdef cnp.ndarray samples = self.sample_array(X, "X")
        if cnp.PyArray_NDIM(samples) <= self.sample_ndim or cnp.PyArray_DIM(samples, 0) == 0:
            raise ValueError(f"X must be a batch of at least one sample, got shape {np.shape(samples)}")
        targets = self.target(y, samples)
        weights = None if sample_weight is None else self.weights_of(sample_weight, cnp.PyArray_DIM(samples, 0))
        return fit_model(self, samples, targets, epochs=epochs, batch_size=batch_size, shuffle=shuffle,
                         sample_weight=weights, validation=validation, patience=patience, min_delta=min_delta, rng=rng)

    def save(self, path):
        """Write the model to a file: what it is, its parameters, and the optimiser's state; see :func:`save`.

        Parameters
        ----------
        path : str or os.PathLike
            The file, in the safetensors format.  It is complete or, after an error, what it was.
        """
        from mlopt.nn.exchange.files import save

        save(self, path)

    @classmethod
    def load(cls, path):
        """Read a model of this class that :meth:`save` wrote; see :func:`load`.

        Parameters
        ----------
        path : str or os.PathLike
            The file.  It need not be trusted.

        Returns
        -------
        MLP or LSTM
            In the state it was in.
        """
        from mlopt.nn.exchange.files import load

        model = load(path)
        if not isinstance(model, cls):
            raise ValueError(f"{path!r} holds an {type(model).__name__}, not an {cls.__name__}")
        return model

    def copy(self):
        """An independent model in the same state.

        Returns
        -------
        MLP or LSTM
            Of the model's own class.
        """
        return restore(type(self), self._arguments(), self.get_state())

    def _arguments(self):
        raise TypeError("Model is abstract: use MLP or LSTM")

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return restore, (type(self), self._arguments(), self.get_state())

    def __repr__(self):
        arguments = self._arguments()
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def restore(kind, arguments, state):
    """A model from what it was created with and its state: what pickles call."""
    model = kind(**arguments, rng=0)
    model.set_state(state)
    return model


cdef flattened(views):
    # without padding, in order
    return np.concatenate([part.ravel() for layer in views for part in layer])


cdef unpack(values, views):
    at = 0
    for layer in views:
        for part in layer:
            part[...] = values[at:at + part.size].reshape(part.shape)
            at += part.size
