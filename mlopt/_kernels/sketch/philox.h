/* Philox4x32-10, one counter at a time: the reference, and what plans of sketches draw their bits with. */
#ifndef MLOPT_PHILOX_H
#define MLOPT_PHILOX_H

#include <stdint.h>

#define MLOPT_PHILOX_ROUNDS 10
#define MLOPT_PHILOX_MULTIPLIER_0 0xd2511f53u
#define MLOPT_PHILOX_MULTIPLIER_1 0xcd9e8d57u
#define MLOPT_PHILOX_WEYL_0 0x9e3779b9u
#define MLOPT_PHILOX_WEYL_1 0xbb67ae85u

/* What the upper half of a counter says its words are for: streams of one key that have nothing in common. */
enum mlopt_philox_use {
    MLOPT_PHILOX_NORMAL_F32,
    MLOPT_PHILOX_NORMAL_F64,
    MLOPT_PHILOX_SIGNS,
    MLOPT_PHILOX_PLACES,
    MLOPT_PHILOX_ORDER,
};

static inline void mlopt_philox(uint64_t key, uint64_t counter, uint64_t upper, uint32_t words[4])
{
    uint32_t key_0 = (uint32_t)key, key_1 = (uint32_t)(key >> 32);
    words[0] = (uint32_t)counter, words[1] = (uint32_t)(counter >> 32);
    words[2] = (uint32_t)upper, words[3] = (uint32_t)(upper >> 32);
    for (int round = 0; round < MLOPT_PHILOX_ROUNDS; round++) {
        const uint64_t first = (uint64_t)MLOPT_PHILOX_MULTIPLIER_0 * words[0];
        const uint64_t second = (uint64_t)MLOPT_PHILOX_MULTIPLIER_1 * words[2];
        words[0] = (uint32_t)(second >> 32) ^ words[1] ^ key_0;
        words[1] = (uint32_t)second;
        words[2] = (uint32_t)(first >> 32) ^ words[3] ^ key_1;
        words[3] = (uint32_t)first;
        key_0 += MLOPT_PHILOX_WEYL_0, key_1 += MLOPT_PHILOX_WEYL_1;
    }
}

#endif
