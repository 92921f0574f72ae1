/* Thread-local words that cost one instruction. */
#ifndef MLOPT_LOCKFREE_THREAD_LOCAL_H
#define MLOPT_LOCKFREE_THREAD_LOCAL_H

/* A few bytes fit into what glibc reserves for libraries that are loaded later; reading them needs no call then. */
#if defined(__GLIBC__)
#define MLOPT_THREAD_LOCAL __attribute__((tls_model("initial-exec"))) _Thread_local
#else
#define MLOPT_THREAD_LOCAL _Thread_local
#endif

#endif
