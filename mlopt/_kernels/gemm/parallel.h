/* A product on several threads: C is cut into panels of rows or columns, k never. */
#ifndef MLOPT_GEMM_PARALLEL_H
#define MLOPT_GEMM_PARALLEL_H

#include "../int8/int8.h"
#include "gemm.h"

/* The threads that so many multiplications are worth, at most `threads`. */
int mlopt_gemm_threads(double work, int threads);

/* The panels that a product is worth, at most `threads`: 1 where a second thread would not make it faster. */
int mlopt_gemm_panels(size_t m, size_t n, size_t k, int threads);

/* Runs the kernel on `panels` panels.  job->workspace holds that many pieces of workspace_bytes, each
 * enough for the whole job and a multiple of 64 bytes.  The result does not depend on `panels`. */
void mlopt_gemm_split_f32(mlopt_gemm_f32 *kernel, const mlopt_gemm_job_f32 *job, int panels, size_t workspace_bytes);
void mlopt_gemm_split_f64(mlopt_gemm_f64 *kernel, const mlopt_gemm_job_f64 *job, int panels, size_t workspace_bytes);
void mlopt_int8_split(mlopt_int8_gemm_s8 *kernel, const mlopt_int8_job *job, int panels, size_t workspace_bytes);

#endif
