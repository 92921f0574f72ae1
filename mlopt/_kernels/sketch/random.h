/* Philox4x32-10 of a vector of counters, and blocks of the stream of normal numbers: bodies per type, over normal.h. */

/* the keys of the rounds */
MLOPT_INLINE void mlopt_philox_keys(uint64_t key, u64v *keys)
{
    uint32_t key_0 = (uint32_t)key, key_1 = (uint32_t)(key >> 32);
    for (int round = 0; round < MLOPT_PHILOX_ROUNDS; round++) {
        keys[2 * round] = u64_set1(key_0), keys[2 * round + 1] = u64_set1(key_1);
        key_0 += MLOPT_PHILOX_WEYL_0, key_1 += MLOPT_PHILOX_WEYL_1;
    }
}

/* The words stand in the lower halves of 64-bit lanes, where the processor multiplies them; what is in the upper halves
 * does not matter. */
MLOPT_INLINE void mlopt_philox_words(const u64v *keys, u64v counter, uint64_t upper, u64v words[4])
{
    const u64v multiplier_0 = u64_set1(MLOPT_PHILOX_MULTIPLIER_0), multiplier_1 = u64_set1(MLOPT_PHILOX_MULTIPLIER_1);
    u64v word_0 = counter, word_1 = u64_high(counter), word_2 = u64_set1(upper), word_3 = u64_set1(upper >> 32);
    MLOPT_UNROLL_FULLY
    for (int round = 0; round < MLOPT_PHILOX_ROUNDS; round++) {
        const u64v first = u64_product(multiplier_0, word_0), second = u64_product(multiplier_1, word_2);
        word_0 = u64_xor3(u64_high(second), word_1, keys[2 * round]);
        word_2 = u64_xor3(u64_high(first), word_3, keys[2 * round + 1]);
        word_1 = second, word_3 = first;
    }
    words[0] = word_0, words[1] = word_1, words[2] = word_2, words[3] = word_3;
}
