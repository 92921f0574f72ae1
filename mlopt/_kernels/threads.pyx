"""Threads: how many, and the one place that is linked with OpenMP."""
import operator

from mlopt._kernels.core import cpu_report

from mlopt._kernels.dispatch cimport (
    mlopt_gemm_f32,
    mlopt_gemm_f64,
    mlopt_gemm_job_f32,
    mlopt_gemm_job_f64,
    mlopt_int8_gemm_s8,
    mlopt_int8_job,
)


cdef extern from "team.h" nogil:
    void mlopt_team_init(int cores)
    void mlopt_team_set(int n)
    int mlopt_team_size()
    void mlopt_team_run(int count, void (*work)(int i, void *argument) noexcept nogil, void *argument) noexcept

cdef extern from "gemm/parallel.h" nogil:
    int mlopt_gemm_threads(double work, int threads)
    int mlopt_gemm_panels(size_t m, size_t n, size_t k, int threads)
    void mlopt_gemm_split_f32(mlopt_gemm_f32 *, const mlopt_gemm_job_f32 *, int, size_t) noexcept
    void mlopt_gemm_split_f64(mlopt_gemm_f64 *, const mlopt_gemm_job_f64 *, int, size_t) noexcept
    void mlopt_int8_split(mlopt_int8_gemm_s8 *, const mlopt_int8_job *, int, size_t) noexcept


cdef int team_size() noexcept nogil:
    return mlopt_team_size()


cdef void team_run(int count, void (*work)(int i, void *argument) noexcept nogil, void *argument) noexcept nogil:
    mlopt_team_run(count, work, argument)


cdef int gemm_threads(double work, int threads) noexcept nogil:
    return mlopt_gemm_threads(work, threads)


cdef int gemm_panels(size_t m, size_t n, size_t k, int threads) noexcept nogil:
    return mlopt_gemm_panels(m, n, k, threads)


cdef void gemm_split_f32(mlopt_gemm_f32 *kernel, const mlopt_gemm_job_f32 *job, int panels,
                         size_t workspace_bytes) noexcept nogil:
    mlopt_gemm_split_f32(kernel, job, panels, workspace_bytes)


cdef void gemm_split_f64(mlopt_gemm_f64 *kernel, const mlopt_gemm_job_f64 *job, int panels,
                         size_t workspace_bytes) noexcept nogil:
    mlopt_gemm_split_f64(kernel, job, panels, workspace_bytes)


cdef void int8_split(mlopt_int8_gemm_s8 *kernel, const mlopt_int8_job *job, int panels,
                     size_t workspace_bytes) noexcept nogil:
    mlopt_int8_split(kernel, job, panels, workspace_bytes)


def set_num_threads(n):
    """Set how many threads the calls of this process may use.

    A call uses fewer where more would not make it faster. Results do not depend on the number.

    Parameters
    ----------
    n : int or None
        At least 1. None goes back to the default: ``OMP_NUM_THREADS`` where it is set, else the
        cores usable by this process (affinity mask and container quota).

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is less than 1.

    See Also
    --------
    get_num_threads

    Notes
    -----
    Limits set by threadpoolctl (or ``omp_set_num_threads``) below OpenMP's default hold too. A child
    made by ``fork`` computes on one thread.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.set_num_threads(1)
    >>> mlopt.get_num_threads()
    1
    >>> mlopt.set_num_threads(None)
    """
    if n is None:
        mlopt_team_set(0)
        return
    try:
        number = operator.index(n)
    except TypeError:
        raise TypeError(f"n must be an integer or None, not {type(n).__name__}") from None
    if not 1 <= number <= 1024:
        raise ValueError(f"n must be between 1 and 1024, not {number}")
    mlopt_team_set(number)


def get_num_threads():
    """The number of threads that a call may use which does not say it itself.

    Returns
    -------
    int
        What :func:`set_num_threads` set or the default, within the limits of threadpoolctl.

    Examples
    --------
    >>> import mlopt
    >>> mlopt.get_num_threads() >= 1
    True
    """
    return mlopt_team_size()


mlopt_team_init(cpu_report()["cores"])
