/* Sleeping until another thread, of this process or another, says that something changed.
 *
 * A bell is a 32-bit word in memory that both share: 1 while somebody sleeps, or is about to.  Whoever
 * changes something reads the word, which is all it costs while nobody sleeps, and rings where it is 1.
 *
 *     sleeper                               changer
 *       bell = 1                              change
 *       heavy fence                           light fence
 *       changed already?  stay awake          bell == 1?  bell = 0, wake
 *       sleep while bell == 1
 *
 * Both write one word and read the other's (Dekker): with a full fence on each side at least one of them
 * sees what the other wrote, and no change is slept through.  A full fence waits until all earlier stores
 * have left the processor, which would cost the changer more than all the rest it does.  On Linux the
 * sleeper pays for both: membarrier(2) makes every running thread of every process that registered pass a
 * full fence.  What the changer needs then is that the compiler keeps the order.
 *
 * Where a process cannot register (an old kernel, a filter of system calls, another system), it takes real
 * fences when it changes, and when it sleeps, it does for a millisecond at most, since its own fence is
 * no help against a changer that takes none. */
#ifndef MLOPT_LOCKFREE_FUTEX_H
#define MLOPT_LOCKFREE_FUTEX_H

#include "lockfree/wait.h"

#include <stdatomic.h>
#include <stdint.h>

#ifdef __linux__
#define MLOPT_MEMBARRIER_GLOBAL_EXPEDITED (1 << 1) /* of linux/membarrier.h */
#define MLOPT_MEMBARRIER_REGISTER_GLOBAL_EXPEDITED (1 << 2)
#endif

#define MLOPT_BELL_UNSURE_NANOSECONDS 1000000 /* the longest sleep that a change may go unnoticed in */

_Static_assert(sizeof(_Atomic uint32_t) == 4, "a futex is 32 bits");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "shared between processes: no locks inside");

static inline void mlopt_pause(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("isb" ::: "memory"); /* yield is a no-op on most cores */
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Whether this process takes part in membarrier; to be asked again by a process that forked or attached. */
static inline int mlopt_fence_register(void)
{
#if defined __linux__ && defined SYS_membarrier
    return syscall(SYS_membarrier, MLOPT_MEMBARRIER_REGISTER_GLOBAL_EXPEDITED, 0) == 0;
#else
    return 0;
#endif
}

/* The changer's fence. */
static inline void mlopt_light_fence(int registered)
{
    if (registered)
        atomic_signal_fence(memory_order_seq_cst);
    else
        atomic_thread_fence(memory_order_seq_cst);
}

/* The sleeper's; whether it stands for the changers' too. */
static inline int mlopt_heavy_fence(int registered)
{
    atomic_thread_fence(memory_order_seq_cst);
#if defined __linux__ && defined SYS_membarrier
    return registered && syscall(SYS_membarrier, MLOPT_MEMBARRIER_GLOBAL_EXPEDITED, 0) == 0;
#else
    (void)registered;
    return 0;
#endif
}

/* Sleeps while the bell is 1, for so long at most; may wake for no reason. */
static inline void mlopt_bell_sleep(_Atomic uint32_t *bell, int64_t nanoseconds)
{
    mlopt_wait(bell, 1, nanoseconds, MLOPT_WAIT_SYSTEM);
}

/* Wakes whoever sleeps; out of the way, since it is rare. */
__attribute__((noinline, cold, unused)) static void mlopt_bell_wake(_Atomic uint32_t *bell)
{
    /* acq_rel: a read-modify-write that must not move before the change it announces */
    if (atomic_exchange_explicit(bell, 0, memory_order_acq_rel))
        mlopt_wake(bell, INT32_MAX, MLOPT_WAIT_SYSTEM);
}

/* After a change: rings if somebody sleeps. */
static inline void mlopt_bell_ring(_Atomic uint32_t *bell, int registered)
{
    mlopt_light_fence(registered);
    if (__builtin_expect(atomic_load_explicit(bell, memory_order_relaxed) != 0, 0))
        mlopt_bell_wake(bell);
}

#endif
