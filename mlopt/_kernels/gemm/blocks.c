#include "../cpu.h"
#include "../int8/int8.h"
#include "gemm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static mlopt_gemm_blocks blocks[2]; /* of 4 and 8 byte elements */
static mlopt_gemm_blocks bytes;
static int status;
static pthread_once_t chosen = PTHREAD_ONCE_INIT;

static size_t clamp(size_t value, size_t least, size_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* Eight rows of A, kc long, take L1 while they meet every column of a block of B, which streams past them;
 * that block, kc x nc, stays in five eighths of L2; mc rows of packed A come from L3.  Halving kc to leave
 * room in L1 costs 3 % (float64, Zen 4): C is then read and written twice as often. */
static mlopt_gemm_blocks from_caches(const mlopt_cpu *cpu, size_t element_bytes)
{
    mlopt_gemm_blocks b;
    b.kc = clamp(cpu->l1d_bytes / (8 * element_bytes) / 16 * 16, 64, 512);
    b.nc = clamp(cpu->l2_bytes / 8 * 5 / (b.kc * element_bytes) / 48 * 48, 48, 4096);
    const size_t l3 = cpu->l3_bytes ? cpu->l3_bytes : 4 * cpu->l2_bytes;
    b.mc = clamp(l3 / 8 / (b.kc * element_bytes) / 8 * 8, 96, 2048);
    return b;
}

/* Eight rows of A, kc bytes long, take a third of L1, a block of B five eighths of L2. */
static mlopt_gemm_blocks of_bytes(const mlopt_cpu *cpu)
{
    mlopt_gemm_blocks b;
    b.kc = clamp(cpu->l1d_bytes / 24 / 64 * 64, 256, 2048);
    b.nc = clamp(cpu->l2_bytes / 8 * 5 / b.kc / MLOPT_INT8_PANEL * MLOPT_INT8_PANEL, MLOPT_INT8_PANEL, 4096);
    b.mc = 512;
    return b;
}

static void choose(void)
{
    const char *text = getenv("MLOPT_GEMM_BLOCKS");
    bytes = of_bytes(mlopt_cpu_detect());
    for (int i = 0; i < 2; i++)
        blocks[i] = from_caches(mlopt_cpu_detect(), i ? 8 : 4);
    if (!text || !*text)
        return;
    unsigned mc, kc, nc;
    char rest;
    const unsigned most = 1 << 20;
    if (sscanf(text, "%u,%u,%u%c", &mc, &kc, &nc, &rest) != 3 || !mc || !kc || !nc || mc > most || kc > most ||
        nc > most) {
        status = -1;
        return;
    }
    for (int i = 0; i < 2; i++)
        blocks[i] = (mlopt_gemm_blocks){mc, kc, nc};
}

const mlopt_gemm_blocks *mlopt_gemm_default_blocks(size_t element_bytes)
{
    pthread_once(&chosen, choose);
    return element_bytes == 1 ? &bytes : &blocks[element_bytes == 8];
}

int mlopt_gemm_blocks_status(void)
{
    pthread_once(&chosen, choose);
    return status;
}
