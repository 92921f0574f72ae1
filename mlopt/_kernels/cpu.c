#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "cpu.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#define MLOPT_X86 1
#endif

static mlopt_cpu cpu;
static pthread_once_t detected = PTHREAD_ONCE_INIT;

#ifdef MLOPT_X86

static int bit(uint32_t word, int index) { return (word >> index) & 1; }

static uint64_t xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

static uint32_t x86_features(void)
{
    uint32_t a, b, c, d, features = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27)) /* OSXSAVE */
        return 0;
    const uint64_t saved = xcr0();
    const int ymm_saved = (saved & 0x06) == 0x06, zmm_saved = (saved & 0xe6) == 0xe6;
    const int avx = bit(c, 28) && bit(c, 12) && bit(c, 22) && bit(c, 29); /* AVX FMA MOVBE F16C */

    uint32_t extended_c = 0;
    if (__get_cpuid(0x80000001, &a, &b, &extended_c, &d) == 0)
        extended_c = 0;
    const int lzcnt = bit(extended_c, 5);

    if (!ymm_saved || !avx || !lzcnt || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    const uint32_t leaf7_b = b, leaf7_c = c, leaf7_d = d, subleaves = a;
    uint32_t subleaf1_a = 0;
    if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
        subleaf1_a = a;

    if (bit(leaf7_b, 3) && bit(leaf7_b, 5) && bit(leaf7_b, 8)) /* BMI1 AVX2 BMI2 */
        features |= MLOPT_CPU_AVX2;
    if (bit(subleaf1_a, 4))
        features |= MLOPT_CPU_AVX_VNNI;
    if (!zmm_saved || !(features & MLOPT_CPU_AVX2))
        return features;
    if (bit(leaf7_b, 16) && bit(leaf7_b, 17) && bit(leaf7_b, 28) && bit(leaf7_b, 30) && bit(leaf7_b, 31))
        features |= MLOPT_CPU_AVX512; /* F DQ CD BW VL */
    if (bit(leaf7_c, 11))
        features |= MLOPT_CPU_AVX512_VNNI;
    if (bit(subleaf1_a, 5))
        features |= MLOPT_CPU_AVX512_BF16;
    if (bit(leaf7_d, 24))
        features |= MLOPT_CPU_AMX;
    return features;
}

static void x86_brand(char brand[49])
{
    uint32_t words[12];
    if (__get_cpuid_max(0x80000000, NULL) < 0x80000004)
        return;
    for (uint32_t i = 0; i < 3; i++)
        __get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
    memcpy(brand, words, 48);
    for (int i = 47; i >= 0 && (brand[i] == ' ' || brand[i] == 0); i--)
        brand[i] = 0;
}

/* Deterministic cache parameters: leaf 4 (Intel) or 0x8000001d (AMD), the same layout. */
static void x86_caches(mlopt_cpu *into)
{
    static const uint32_t leaves[] = {0x8000001d, 4};
    for (int i = 0; i < 2; i++) {
        int found = 0;
        for (uint32_t index = 0; index < 16; index++) {
            uint32_t a, b, c, d;
            if (!__get_cpuid_count(leaves[i], index, &a, &b, &c, &d) || (a & 31) == 0)
                break;
            const uint32_t type = a & 31, level = (a >> 5) & 7;
            const size_t line = (b & 0xfff) + 1, partitions = ((b >> 12) & 0x3ff) + 1, ways = ((b >> 22) & 0x3ff) + 1,
                         sets = (size_t)c + 1;
            const size_t bytes = line * partitions * ways * sets;
            if (type == 2) /* instruction cache */
                continue;
            found = 1;
            into->cacheline_bytes = line;
            if (level == 1)
                into->l1d_bytes = bytes;
            else if (level == 2)
                into->l2_bytes = bytes;
            else if (level == 3)
                into->l3_bytes = bytes;
        }
        if (found)
            return;
    }
}

#endif /* MLOPT_X86 */

#ifdef _SC_LEVEL1_DCACHE_SIZE
static void set_if_positive(size_t *field, long value)
{
    if (value > 0)
        *field = (size_t)value;
}
#endif

/* The container's CPU quota in whole processors, rounded up; 0 where there is none. */
static int quota_cores(void)
{
    long long quota = 0, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file) { /* version 2: "max 100000" or "150000 100000" */
        if (fscanf(file, "%lld %lld", &quota, &period) != 2)
            quota = 0;
        fclose(file);
    } else if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"))) {
        if (fscanf(file, "%lld", &quota) != 1)
            quota = 0;
        fclose(file);
        if (quota > 0 && (file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r"))) {
            if (fscanf(file, "%lld", &period) != 1)
                period = 0;
            fclose(file);
        }
    }
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

static int usable_cores(void)
{
    int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cores = CPU_COUNT(&set);
#endif
    const int quota = quota_cores();
    if (quota > 0 && quota < cores)
        cores = quota;
    return cores > 0 ? cores : 1;
}

static void detect(void)
{
    cpu.l1d_bytes = 32 << 10;
    cpu.l2_bytes = 512 << 10;
    cpu.cacheline_bytes = 64;
#ifdef _SC_LEVEL1_DCACHE_SIZE
    set_if_positive(&cpu.l1d_bytes, sysconf(_SC_LEVEL1_DCACHE_SIZE));
    set_if_positive(&cpu.l2_bytes, sysconf(_SC_LEVEL2_CACHE_SIZE));
    set_if_positive(&cpu.l3_bytes, sysconf(_SC_LEVEL3_CACHE_SIZE));
#endif
#ifdef MLOPT_X86
    cpu.features = x86_features();
    x86_brand(cpu.brand);
    x86_caches(&cpu);
#endif
    cpu.cores = usable_cores();
}

const mlopt_cpu *mlopt_cpu_detect(void)
{
    pthread_once(&detected, detect);
    return &cpu;
}
