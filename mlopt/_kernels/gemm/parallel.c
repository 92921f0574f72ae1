#include "parallel.h"

#include "../team.h"

/* Multiplications that each thread must have.  A team waits for its last member: where the cores are shared
 * with other processes that takes a time slice, which a product of 128 x 128 lost a hundredfold and one of
 * 256 x 256 still twofold, while 512 x 512 gained.  Taken on a loaded machine, hence cautious; an idle one
 * may gain from less. */
#define MLOPT_GEMM_PARALLEL_WORK (256.0 * 256.0 * 256.0)

int mlopt_gemm_threads(double work, int threads)
{
    if (threads <= 1 || !mlopt_team_usable())
        return 1;
    const double worth = work / MLOPT_GEMM_PARALLEL_WORK;
    return worth >= (double)threads ? threads : worth > 1.0 ? (int)worth : 1;
}

int mlopt_gemm_panels(size_t m, size_t n, size_t k, int threads)
{
    const size_t panels = mlopt_gemm_most(m, n) / MLOPT_GEMM_PANEL;
    threads = mlopt_gemm_threads((double)m * (double)n * (double)k, threads);
    return panels < (size_t)threads ? (int)mlopt_gemm_most(panels, 1) : threads;
}

#define MLOPT_GEMM_SPLIT(type)                                                                                         \
    typedef struct split_##type {                                                                                      \
        mlopt_gemm_##type *kernel;                                                                                     \
        const mlopt_gemm_job_##type *job;                                                                              \
        int panels;                                                                                                    \
        size_t workspace_bytes;                                                                                        \
    } split_##type;                                                                                                    \
                                                                                                                       \
    static void panel_##type(int i, void *argument)                                                                    \
    {                                                                                                                  \
        const split_##type *const s = argument;                                                                        \
        mlopt_gemm_job_##type job = *s->job;                                                                           \
        const size_t longer = job.m > job.n ? job.m : job.n, units = longer / MLOPT_GEMM_PANEL;                        \
        const size_t count = (size_t)s->panels, at = (size_t)i;                                                        \
        const size_t first = units * at / count * MLOPT_GEMM_PANEL;                                                    \
        const size_t end = at + 1 == count ? longer : units * (at + 1) / count * MLOPT_GEMM_PANEL;                     \
        if (job.m > job.n) {                                                                                           \
            job.m = end - first;                                                                                       \
            job.a += (ptrdiff_t)first * job.a_row;                                                                     \
            job.c += (ptrdiff_t)first * job.c_row;                                                                     \
        } else {                                                                                                       \
            job.n = end - first;                                                                                       \
            job.b += (ptrdiff_t)first * job.b_column;                                                                  \
            job.packed_first += first;                                                                                 \
            job.c += (ptrdiff_t)first * job.c_column;                                                                  \
        }                                                                                                              \
        job.workspace = (char *)job.workspace + at * s->workspace_bytes;                                               \
        s->kernel(&job);                                                                                               \
    }                                                                                                                  \
                                                                                                                       \
    void mlopt_gemm_split_##type(mlopt_gemm_##type *kernel, const mlopt_gemm_job_##type *job, int panels,              \
                                 size_t workspace_bytes)                                                               \
    {                                                                                                                  \
        split_##type s = {kernel, job, panels, workspace_bytes};                                                       \
        mlopt_team_run(panels, panel_##type, &s);                                                                      \
    }

MLOPT_GEMM_SPLIT(f32)
MLOPT_GEMM_SPLIT(f64)

typedef struct int8_split {
    mlopt_int8_gemm_s8 *kernel;
    const mlopt_int8_job *job;
    int panels;
    size_t workspace_bytes;
} int8_split;

static void int8_panel(int i, void *argument)
{
    const int8_split *const s = argument;
    mlopt_int8_job job = *s->job;
    mlopt_int8_result *const result = &job.result;
    const size_t longer = job.m > job.n ? job.m : job.n, units = longer / MLOPT_INT8_PANEL;
    const size_t count = (size_t)s->panels, at = (size_t)i;
    const size_t first = units * at / count * MLOPT_INT8_PANEL;
    const size_t end = at + 1 == count ? longer : units * (at + 1) / count * MLOPT_INT8_PANEL;
    const size_t c_bytes = result->kind <= MLOPT_INT8_TO_F32 ? 4 : 1;
    if (job.m > job.n) {
        job.m = end - first;
        job.a = (const char *)job.a + (ptrdiff_t)first * job.a_row;
        job.a_zero = job.a_zero ? job.a_zero + first * job.a_zero_step : NULL;
        job.c = (char *)job.c + (ptrdiff_t)first * job.c_row * (ptrdiff_t)c_bytes;
    } else {
        job.n = end - first;
        job.b = job.b ? (const char *)job.b + (ptrdiff_t)first * job.b_column : NULL;
        job.packed_first += first;
        job.b_zero = job.b_zero ? job.b_zero + first * job.b_zero_step : NULL;
        job.c = (char *)job.c + first * c_bytes;
        result->bias = result->bias ? result->bias + first : NULL;
        result->scale = result->scale ? result->scale + first * result->scale_step : NULL;
        result->shift = result->shift ? result->shift + first : NULL;
    }
    job.workspace = (char *)job.workspace + at * s->workspace_bytes;
    s->kernel(&job);
}

void mlopt_int8_split(mlopt_int8_gemm_s8 *kernel, const mlopt_int8_job *job, int panels, size_t workspace_bytes)
{
    int8_split s = {kernel, job, panels, workspace_bytes};
    mlopt_team_run(panels, int8_panel, &s);
}
