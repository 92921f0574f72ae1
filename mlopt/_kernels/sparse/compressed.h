/* The kernels over compressed rows, for one element type and one width of column numbers, INDEX_BITS.
 * Names end in _long for 64 bits. */
#if INDEX_BITS == 32
#define INDEX int32_t
#define LONG(name) name
#else
#define INDEX int64_t
#define LONG(name) MLOPT_JOIN(name, _long)
#endif
#define FI(name) F(LONG(name))
#define KI(name) K(LONG(name))
#define BY_BITS(word) F(MLOPT_JOIN(word, INDEX_BITS))

#include "vectors.h"

#include "matrices.h"

#include "product.h"

#include "sampled.h"

#undef BY_BITS
#undef KI
#undef FI
#undef LONG
#undef INDEX
#undef INDEX_BITS
