/* How many threads a call may use, and the one way to run on several. */
#ifndef MLOPT_TEAM_H
#define MLOPT_TEAM_H

#include <stddef.h>

/* Usable threads before any setting: OMP_NUM_THREADS, else `cores`.  Called once, when the module is imported. */
void mlopt_team_init(int cores);

/* n >= 1 for this process, 0 to go back to the default. */
void mlopt_team_set(int n);

/* What a call gets that does not ask: the setting or the default, never above a limit of threadpoolctl or
 * omp_set_num_threads.  1 in the child of a fork, where OpenMP's team does not exist any more. */
int mlopt_team_size(void);

/* Whether this process may run on several threads: 0 in the child of a fork or without OpenMP. */
int mlopt_team_usable(void);

/* Runs work(i, argument) for 0 <= i < count on as many threads, or one after the other. */
void mlopt_team_run(int count, void (*work)(int i, void *argument), void *argument);

#endif
