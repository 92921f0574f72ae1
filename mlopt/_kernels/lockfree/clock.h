/* The clock that latencies are measured with. */
#ifndef MLOPT_LOCKFREE_CLOCK_H
#define MLOPT_LOCKFREE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds of a clock that never goes back; its zero means nothing.  About 20 ns a call where the
 * system serves it without entering the kernel. */
static inline int64_t mlopt_clock_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

#endif
