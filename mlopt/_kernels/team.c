#include "team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#ifdef _OPENMP
#include <omp.h>
#endif

static int default_size = 1;  /* before any setting */
static int initial_limit = 1; /* OpenMP's own when this module was imported */
static atomic_int setting;    /* 0: none */
static atomic_int forked;

static void after_fork(void) { atomic_store(&forked, 1); }

void mlopt_team_init(int cores)
{
    default_size = initial_limit = 1;
#ifdef _OPENMP
    const char *asked = getenv("OMP_NUM_THREADS");
    initial_limit = omp_get_max_threads();
    default_size = (asked && *asked) || initial_limit < cores ? initial_limit : cores;
#else
    (void)cores;
#endif
    pthread_atfork(NULL, NULL, after_fork);
}

void mlopt_team_set(int n) { atomic_store(&setting, n); }

int mlopt_team_usable(void)
{
#ifdef _OPENMP
    return !atomic_load(&forked);
#else
    return 0;
#endif
}

int mlopt_team_size(void)
{
    if (!mlopt_team_usable())
        return 1;
    int size = atomic_load(&setting);
    if (size == 0)
        size = default_size;
#ifdef _OPENMP
    const int limit = omp_get_max_threads();
    if (limit < initial_limit && limit < size)
        size = limit;
#endif
    return size;
}

void mlopt_team_run(int count, void (*work)(int i, void *argument), void *argument)
{
#ifdef _OPENMP
    if (count > 1 && mlopt_team_usable()) {
#pragma omp parallel for num_threads(count) schedule(static, 1)
        for (int i = 0; i < count; i++)
            work(i, argument);
        return;
    }
#endif
    for (int i = 0; i < count; i++)
        work(i, argument);
}
