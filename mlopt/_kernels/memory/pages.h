/* Memory from the system, in pages: what the slab pool and the pools of arrays both map. */
#ifndef MLOPT_MEMORY_PAGES_H
#define MLOPT_MEMORY_PAGES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define MLOPT_HUGE_PAGE ((size_t)2 << 20)
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

static inline size_t mlopt_page_bytes(void)
{
    static _Atomic size_t known;
    size_t page = atomic_load_explicit(&known, memory_order_relaxed);
    if (page == 0) {
        page = (size_t)sysconf(_SC_PAGESIZE);
        atomic_store_explicit(&known, page, memory_order_relaxed);
    }
    return page;
}

/* `bytes` of zeros that begin at a huge page's boundary, in huge pages where the system offers them, and
 * `before` bytes in front; both are multiples of a page.  NULL when there is no memory.  What nobody
 * touches costs none; with MAP_NORESERVE in `flags` it is not counted beforehand either. */
static inline void *mlopt_map_huge(size_t before, size_t bytes, int flags)
{
    const size_t mapped = before + bytes + MLOPT_HUGE_PAGE;
    char *start = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    const uintptr_t lowest = (uintptr_t)start + before;
    char *block = start + before + (-lowest & (MLOPT_HUGE_PAGE - 1));
    if (block - before > start)
        munmap(start, (size_t)(block - before - start));
    if (block + bytes < start + mapped)
        munmap(block + bytes, (size_t)(start + mapped - (block + bytes)));
#ifdef MADV_HUGEPAGE
    madvise(block, bytes, MADV_HUGEPAGE); /* refused where huge pages are not offered: no harm */
#endif
    return block;
}

/* The pages go back to the system; the addresses stay, and read as zeros. */
static inline void mlopt_drop_pages(void *start, size_t bytes)
{
#ifdef __linux__
    madvise(start, bytes, MADV_DONTNEED);
#else /* elsewhere the advice need not drop anything, fresh pages in the same place do */
    mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
#endif
}

#endif
