# What the models share: flat parameters, optimiser, workspaces, checks.
cimport numpy as cnp

from mlopt._kernels.dispatch cimport mlopt_kernels
from mlopt.nn.network cimport mlopt_objective, mlopt_targets, mlopt_workspace
from mlopt.nn.optimizers cimport Optimizer


# The work of a call.
cdef enum Job:
    LOSS
    GRADIENT
    STEP


cdef cnp.ndarray vector(size_t length, int type_number, bint zeroed=*)
cdef str one_of(str name, value, choices)
cdef double number_in(str name, value, double low, double high, str expected) except? -1
cdef bint overlap(cnp.ndarray a, cnp.ndarray b) noexcept


cdef class ParameterMemory:
    cdef cnp.ndarray array        # the flat vector itself
    # counts of atomics.h
    cdef size_t exports           # views that are alive: whoever holds one may write at any time
    cdef size_t version           # the times that the parameters may have changed
    cdef object format
    cdef Py_ssize_t shape[1]
    cdef Py_ssize_t strides[1]


cdef class Workspace:
    cdef mlopt_workspace at
    cdef size_t rows, steps       # of the call under way
    cdef cnp.ndarray samples, product, one_hot, weights, gradient_vector
    cdef tuple gradient_views
    cdef unsigned long owner      # the thread it belongs to, 0 for none


cdef class Model:
    cdef object type              # the dtype
    cdef int type_number
    cdef bint is_f64
    cdef str precision_name       # of the products of batches: None as the dtype, or "bf16"
    cdef bint is_short
    cdef mlopt_objective objective
    cdef str loss_name, output_name
    cdef size_t inputs, length    # length: of the flat vectors
    cdef int sample_ndim          # dimensions of one sample
    cdef list places              # per layer a list of (offset, shape)
    cdef cnp.ndarray spans        # (offset, elements) of the weights, which the penalty goes over
    cdef size_t span_count
    cdef Optimizer the_optimizer
    cdef double l2_factor
    cdef unsigned long long seed  # of dropout
    cdef long long steps
    cdef ParameterMemory memory
    cdef cnp.ndarray moment_vectors
    cdef Workspace main
    cdef dict others
    cdef bint training            # a flag of atomics.h: whether a step is under way

    # called by the subclasses' __cinit__ once objective, places and length stand
    cdef int begin(self, optimizer, double l2) except -1
    cdef int set_objective(self, loss, output, size_t outputs, huber_delta, activations) except -1
    cdef int set_type(self, dtype, precision) except -1
    cdef size_t place(self, list into, size_t at, tuple shape)

    # what a subclass brings
    cdef Workspace new_workspace(self)
    cdef int reserve(self, Workspace workspace, cnp.ndarray x) except -1
    cdef size_t work(self, Workspace workspace) noexcept
    cdef tuple target_lead(self, cnp.ndarray x, y)
    cdef double compute(self, const mlopt_kernels *table, Job job, const void *x, const mlopt_targets *targets,
                        Workspace workspace, void *gradient) noexcept nogil

    cdef Workspace here(self)
    cdef Workspace first_here(self, unsigned long thread)
    cdef int gather(self, Workspace workspace, mlopt_workspace *at, size_t work) except -1
    cdef tuple views(self, cnp.ndarray flat)
    cdef bint usable(self, array) except -1
    cdef cnp.ndarray converted(self, value, str name)
    cdef cnp.ndarray bindable(self, array, str name)
    cdef bint are_labels(self, y, cnp.ndarray x) except -1
    cdef bint fits(self, cnp.ndarray y, cnp.ndarray x) noexcept
    cdef cnp.ndarray target(self, y, cnp.ndarray x)
    cdef cnp.ndarray result_of(self, out, int ndim, const cnp.npy_intp *shape, cnp.ndarray x)
    cdef int need_gradient(self, Workspace workspace) except -1
    cdef double run(self, Job job, cnp.ndarray x, cnp.ndarray y, sample_weight, Workspace workspace) except? -1
    cdef void *one_hot_of(self, size_t rows, const cnp.npy_intp *labels, Workspace workspace) except NULL
    cdef cnp.ndarray weights_of(self, sample_weight, cnp.npy_intp rows)
    cdef double penalise(self, const mlopt_kernels *table, void *gradient) noexcept nogil
    cdef double apply_gradient(self, const mlopt_kernels *table, void *gradient) noexcept nogil
    cdef cnp.ndarray sample_array(self, X, str name)
