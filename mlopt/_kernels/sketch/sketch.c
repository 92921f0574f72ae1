#include "sketch.h"

#include "../simd/random.h"

#include "coefficients.h"
#include "philox.h"
#include "random.h"

_Static_assert(f32_LANES <= MLOPT_RANDOM_BLOCK, "a register holds no more lanes than a block of the stream");

#define MLOPT_REAL f32
#include "../simd/real.h"
#include "normal.h"
#include "transform.h"

/* Counters in even and in odd lanes are hashed apart: their words are halves of one vector then. */
MLOPT_INLINE void f32_normal_block(const u64v *keys, uint64_t block, float *out)
{
    const u64v twice = u64_add(u64_lanes(), u64_lanes());
    MLOPT_UNROLL_FULLY
    for (size_t at = 0; at < MLOPT_RANDOM_BLOCK; at += LANES) {
        const u64v counter = u64_add(u64_set1(block * MLOPT_RANDOM_BLOCK + at), twice);
        u64v even[4], odd[4];
        mlopt_philox_words(keys, counter, MLOPT_PHILOX_NORMAL_F32, even);
        mlopt_philox_words(keys, u64_add(counter, u64_set1(1)), MLOPT_PHILOX_NORMAL_F32, odd);
        MLOPT_UNROLL_FULLY
        for (int pair = 0; pair < 4; pair += 2) {
            f32v first, second;
            f32_normal_pair(u32_join(even[pair], odd[pair]), u32_join(even[pair + 1], odd[pair + 1]), &first, &second);
            f32_store(out + (size_t)pair * MLOPT_RANDOM_BLOCK + at, first);
            f32_store(out + (size_t)(pair + 1) * MLOPT_RANDOM_BLOCK + at, second);
        }
    }
}
#undef BLOCK
#undef PLAIN_POLY
#include "../simd/real_end.h"

#define MLOPT_REAL f64
#include "../simd/real.h"
#include "normal.h"
#include "transform.h"

MLOPT_INLINE void f64_normal_block(const u64v *keys, uint64_t block, double *out)
{
    MLOPT_UNROLL_FULLY
    for (size_t at = 0; at < MLOPT_RANDOM_BLOCK; at += LANES) {
        const u64v counter = u64_add(u64_set1(block * MLOPT_RANDOM_BLOCK + at), u64_lanes());
        u64v words[4];
        f64v first, second;
        mlopt_philox_words(keys, counter, MLOPT_PHILOX_NORMAL_F64, words);
        f64_normal_pair(u64_join(words[0], words[1]), u64_join(words[2], words[3]), &first, &second);
        f64_store(out + at, first);
        f64_store(out + MLOPT_RANDOM_BLOCK + at, second);
    }
}
#undef BLOCK
#undef PLAIN_POLY
#include "../simd/real_end.h"
