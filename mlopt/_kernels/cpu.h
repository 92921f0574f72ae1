/* What the processor is and what the operating system lets it do. */
#ifndef MLOPT_CPU_H
#define MLOPT_CPU_H

#include <stddef.h>
#include <stdint.h>

/* Feature bundles.  A bit is set only when every flag of the bundle is reported by CPUID *and* XCR0
 * says that the operating system saves the registers the bundle needs. */
enum {
    MLOPT_CPU_AVX2 = 1 << 0,        /* AVX, AVX2, FMA, BMI1, BMI2, LZCNT, MOVBE, F16C; ymm saved */
    MLOPT_CPU_AVX_VNNI = 1 << 1,    /* AVX-VNNI; ymm saved */
    MLOPT_CPU_AVX512 = 1 << 2,      /* the AVX2 bundle and AVX-512 F, DQ, BW, VL, CD; zmm and k saved */
    MLOPT_CPU_AVX512_VNNI = 1 << 3, /* AVX512_VNNI; zmm saved */
    MLOPT_CPU_AVX512_BF16 = 1 << 4, /* AVX512_BF16; zmm saved */
    MLOPT_CPU_AMX = 1 << 5,         /* AMX tiles reported; used by none of the tiers, shown in reports */
};

typedef struct mlopt_cpu {
    uint32_t features; /* or of the bits above */
    char brand[49];    /* as the processor names itself, "" where it does not */
    size_t l1d_bytes;  /* per core; a conservative default where it cannot be read */
    size_t l2_bytes;   /* per core */
    size_t l3_bytes;   /* per group of cores that shares it, 0 where there is none */
    size_t cacheline_bytes;
    int cores; /* usable by this process: affinity mask and container quota */
} mlopt_cpu;

/* Detects once and returns the same immutable description ever after.  Thread-safe. */
const mlopt_cpu *mlopt_cpu_detect(void);

#endif
