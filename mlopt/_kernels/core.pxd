# What other Cython modules cimport from the module that owns the kernel tables.
from libc.stdint cimport uint32_t, uint64_t

from mlopt._kernels.dispatch cimport mlopt_choice, mlopt_gemm_blocks, mlopt_kernel_info, mlopt_kernels
from mlopt._kernels.slab cimport mlopt_slab_statistics, slab_free_function, slab_malloc_function

# The table for the calling context: the one of the innermost use_isa, else the process's.  Read it
# once where a public function is entered and hand the pointer down.  Needs the GIL.
cdef const mlopt_kernels *current_table() except NULL

# What current_table looks at, for calls that cannot afford a function: choice.table, unless overridden.
cdef const mlopt_choice *table_choice() noexcept nogil

# The table of a tier by name; ValueError names the available ones.
cdef const mlopt_kernels *table_of(str tier) except NULL

# The register's row, NULL where there is none of that name and type ("f32", "f64").
cdef const mlopt_kernel_info *find_kernel(const char *name, const char *type) noexcept nogil

# The pointer that a table holds for a row.
cdef void *kernel_of(const mlopt_kernels *table, const mlopt_kernel_info *kernel) noexcept nogil

# The slab pool (memory/slab.h): 64-byte aligned blocks, NULL when there is no memory.
cdef void *slab_acquire(size_t bytes) noexcept nogil
cdef void *slab_acquire_zeroed(size_t bytes) noexcept nogil
cdef void slab_release(void *block) noexcept nogil
cdef size_t slab_usable(void *block) noexcept nogil
cdef void slab_statistics(mlopt_slab_statistics *statistics) noexcept nogil
cdef size_t slab_trim() noexcept nogil
cdef uint64_t slab_fail_every(uint32_t period) noexcept nogil

# The pool's own functions, for NumPy to call directly: small arrays notice every call on the way.
cdef slab_malloc_function slab_malloc() noexcept nogil
cdef slab_free_function slab_free() noexcept nogil

# gemm: the table for the calling context where the GIL is not held; takes it only where use_isa was ever entered.
cdef const mlopt_kernels *current_table_nogil() noexcept nogil

# gemm: the block sizes for elements of 4 or 8 bytes.
cdef const mlopt_gemm_blocks *default_blocks(size_t element_bytes) noexcept nogil
