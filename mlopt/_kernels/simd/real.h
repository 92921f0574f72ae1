/* Binds T, V, M, H, I, LANES, F(word) and K(kernel) to the element type MLOPT_REAL, f32 or f64.
 * No include guard: a family's source does
 *
 *     #define MLOPT_REAL f32
 *     #include "../simd/real.h"
 *     #include "body.h"
 *     #include "../simd/real_end.h"
 */
#define F(word) MLOPT_JOIN3(MLOPT_REAL, _, word)
#define K(kernel) MLOPT_SYMBOL(kernel, MLOPT_REAL)
#define T MLOPT_JOIN(MLOPT_REAL, _element)
#define V MLOPT_JOIN(MLOPT_REAL, v)
#define M MLOPT_JOIN(MLOPT_REAL, m)
#define H MLOPT_JOIN(MLOPT_REAL, h)
#define I MLOPT_JOIN(MLOPT_REAL, i)
#define LANES ((size_t)F(LANES))
#define IS_F32 (sizeof(T) == 4)
