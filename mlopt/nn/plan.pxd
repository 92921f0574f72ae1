# Networks laid out for one sample (plan.h), declared for Cython.
from mlopt._kernels.dispatch cimport mlopt_kernels
from mlopt.nn.network cimport mlopt_network, mlopt_objective, mlopt_targets, mlopt_workspace


cdef extern from "plan.h" nogil:
    size_t MLOPT_PLAN_STEP_BYTES
    size_t MLOPT_PLAN_LAYER_BYTES
    ctypedef struct mlopt_plan_part:
        size_t count
        void *steps
    ctypedef struct mlopt_plan:
        const mlopt_kernels *table
        size_t version
        mlopt_plan_part forward
        mlopt_plan_part *back
    size_t mlopt_plan_make_f32(const mlopt_kernels *, const mlopt_network *, const float *, const mlopt_workspace *,
                               void *, char *, float *, size_t *, mlopt_plan_part *, mlopt_plan_part *)
    size_t mlopt_plan_make_f64(const mlopt_kernels *, const mlopt_network *, const double *, const mlopt_workspace *,
                               void *, char *, double *, size_t *, mlopt_plan_part *, mlopt_plan_part *)
    double mlopt_plan_gradient_f32(const mlopt_plan *, const mlopt_network *, const mlopt_objective *, const float *,
                                   const mlopt_targets *, const mlopt_workspace *, float *)
    double mlopt_plan_gradient_f64(const mlopt_plan *, const mlopt_network *, const mlopt_objective *, const double *,
                                   const mlopt_targets *, const mlopt_workspace *, double *)
    void mlopt_plan_run(const mlopt_plan *, bint, const void *, void *)
