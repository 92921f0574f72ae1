/* Counts what a process allocates: preloaded (LD_PRELOAD), it stands before the C library's allocator.
 *
 * Every call is counted, whoever makes it, in one set of counters for the process and one for the
 * calling thread.  A call that the C library makes inside its own allocator (malloc's mmap) is not
 * seen, so that nothing counts twice.  targets/allocations.py drives it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#undef _FILE_OFFSET_BITS /* else mmap is another name for mmap64, and both are wanted here */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>

#define EXPORTED __attribute__((visibility("default")))

/* The order of FUNCTIONS in allocations.py. */
enum { MALLOC, CALLOC, REALLOC, ALIGNED_ALLOC, POSIX_MEMALIGN, MEMALIGN, MMAP, FREE, FUNCTION_COUNT };

static _Atomic uint64_t process_counts[FUNCTION_COUNT];
static _Thread_local uint64_t thread_counts[FUNCTION_COUNT] __attribute__((tls_model("initial-exec")));

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*mmap)(void *, size_t, int, int, int, off_t);
    void *(*mmap64)(void *, size_t, int, int, int, off64_t);
    void (*free)(void *);
} real;

/* dlsym may itself allocate: from here, until the C library's functions are known. */
static _Alignas(64) char first_bytes[1 << 16];
static _Atomic size_t first_used;

static void *first_allocate(size_t bytes)
{
    const size_t at = atomic_fetch_add(&first_used, (bytes + 63) & ~(size_t)63);
    return at + bytes <= sizeof(first_bytes) ? first_bytes + at : NULL;
}

static int is_first(const void *block)
{
    return (const char *)block >= first_bytes && (const char *)block < first_bytes + sizeof(first_bytes);
}

#define LOOK_UP(name)                                                                                                  \
    do {                                                                                                               \
        void *symbol = dlsym(RTLD_NEXT, #name);                                                                        \
        memcpy(&real.name, &symbol, sizeof(symbol));                                                                   \
    } while (0)

static __attribute__((constructor)) void look_up(void)
{
    static _Atomic int begun;
    if (atomic_exchange(&begun, 1))
        return;
    LOOK_UP(calloc);
    LOOK_UP(realloc);
    LOOK_UP(aligned_alloc);
    LOOK_UP(posix_memalign);
    LOOK_UP(memalign);
    LOOK_UP(mmap);
    LOOK_UP(mmap64);
    LOOK_UP(free);
    LOOK_UP(malloc);
}

/* Whether the C library's function is known by now. */
#define READY(name) (__builtin_expect(real.name != NULL, 1) || (look_up(), real.name != NULL))

static inline void count(int function)
{
    atomic_fetch_add_explicit(&process_counts[function], 1, memory_order_relaxed);
    thread_counts[function]++;
}

EXPORTED void *malloc(size_t bytes)
{
    count(MALLOC);
    return READY(malloc) ? real.malloc(bytes) : first_allocate(bytes);
}

EXPORTED void *calloc(size_t number, size_t bytes)
{
    count(CALLOC);
    return READY(calloc) ? real.calloc(number, bytes) : first_allocate(number * bytes); /* static, hence zero */
}

EXPORTED void *realloc(void *old, size_t bytes)
{
    count(REALLOC);
    if (!is_first(old))
        return READY(realloc) ? real.realloc(old, bytes) : first_allocate(bytes);
    void *new = READY(malloc) ? real.malloc(bytes) : first_allocate(bytes);
    const size_t left = (size_t)(first_bytes + sizeof(first_bytes) - (char *)old);
    return new ? memcpy(new, old, bytes < left ? bytes : left) : NULL;
}

EXPORTED void *aligned_alloc(size_t alignment, size_t bytes)
{
    count(ALIGNED_ALLOC);
    return READY(aligned_alloc) ? real.aligned_alloc(alignment, bytes) : NULL;
}

EXPORTED int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    count(POSIX_MEMALIGN);
    return READY(posix_memalign) ? real.posix_memalign(block, alignment, bytes) : ENOMEM;
}

EXPORTED void *memalign(size_t alignment, size_t bytes)
{
    count(MEMALIGN);
    return READY(memalign) ? real.memalign(alignment, bytes) : NULL;
}

EXPORTED void *mmap(void *where, size_t bytes, int protection, int flags, int file, off_t offset)
{
    count(MMAP);
    return READY(mmap) ? real.mmap(where, bytes, protection, flags, file, offset) : MAP_FAILED;
}

EXPORTED void *mmap64(void *where, size_t bytes, int protection, int flags, int file, off64_t offset)
{
    count(MMAP);
    return READY(mmap64) ? real.mmap64(where, bytes, protection, flags, file, offset) : MAP_FAILED;
}

EXPORTED void free(void *block)
{
    if (block == NULL || is_first(block))
        return;
    count(FREE);
    if (READY(free))
        real.free(block);
}

EXPORTED void mlopt_allocations_reset(void)
{
    for (int i = 0; i < FUNCTION_COUNT; i++) {
        atomic_store_explicit(&process_counts[i], 0, memory_order_relaxed);
        thread_counts[i] = 0;
    }
}

/* The counts of the process and of the calling thread since their reset. */
EXPORTED void mlopt_allocations_read(uint64_t process[FUNCTION_COUNT], uint64_t thread[FUNCTION_COUNT])
{
    for (int i = 0; i < FUNCTION_COUNT; i++)
        process[i] = atomic_load_explicit(&process_counts[i], memory_order_relaxed);
    memcpy(thread, thread_counts, sizeof(thread_counts));
}
