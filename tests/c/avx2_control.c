/* The negative control of `make test-emulated`: an AVX2 instruction, run whatever the processor is. */
#include <immintrin.h>

int main(int argc, char **argv)
{
    (void)argv;
    const __m256i x = _mm256_set1_epi32(argc), y = _mm256_mullo_epi32(x, x);
    return _mm256_extract_epi32(y, 7) != argc * argc;
}
