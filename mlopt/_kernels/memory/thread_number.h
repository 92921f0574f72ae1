/* Small numbers for threads: every thread that asks gets the lowest that no living thread has. */
#ifndef MLOPT_MEMORY_THREAD_NUMBER_H
#define MLOPT_MEMORY_THREAD_NUMBER_H

#include <stdint.h>

#define MLOPT_THREAD_NUMBERS 64

/* A few bytes fit into what glibc reserves for libraries that are loaded later; reading them is one instruction
 * then, not a call. */
#if defined(__GLIBC__)
#define MLOPT_TLS __attribute__((tls_model("initial-exec"))) _Thread_local
#else
#define MLOPT_TLS _Thread_local
#endif

/* 0 until the thread has a number, then the number + 1. */
extern __attribute__((visibility("hidden"))) MLOPT_TLS uint32_t mlopt_thread_number_known;

uint32_t mlopt_thread_number_assign(void);

/* From 0 to 63.  When as many threads are alive, further ones share numbers. */
static inline uint32_t mlopt_thread_number(void)
{
    const uint32_t known = mlopt_thread_number_known;
    return __builtin_expect(known != 0, 1) ? known - 1 : mlopt_thread_number_assign();
}

#endif
