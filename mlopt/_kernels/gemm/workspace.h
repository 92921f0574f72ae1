/* Where workspaces come from. */
#ifndef MLOPT_GEMM_WORKSPACE_H
#define MLOPT_GEMM_WORKSPACE_H

#include <stdlib.h>

/* 64-byte aligned memory, NULL where there is none. */
static inline void *mlopt_workspace_acquire(size_t bytes)
{
    void *block = NULL;
    return posix_memalign(&block, 64, bytes) ? NULL : block;
}

static inline void mlopt_workspace_release(void *block) { free(block); }

#endif
