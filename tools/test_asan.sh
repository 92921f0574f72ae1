#!/bin/sh
# usage: PYTHON=... tools/test_asan.sh [pytest arguments]
# The whole test suite on a build with AddressSanitizer and UndefinedBehaviorSanitizer.  clang, because
# gcc's sanitizer does not see accesses out of bounds by masked AVX-512 loads and stores.  Not the check of function
# types: Cython calls the methods of a subclass through pointers of its base.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
clang=$(command -v clang-19 || command -v clang) || {
    echo "test-asan needs clang and its sanitizer library: apt install clang-19 libclang-rt-19-dev" >&2
    exit 1
}
runtime=$("$clang" -print-file-name="libclang_rt.asan-$(uname -m).so")
[ -e "$runtime" ] || runtime=$("$clang" -print-file-name=libclang_rt.asan.so)
[ -e "$runtime" ] || {
    echo "test-asan: $clang has no shared AddressSanitizer library: apt install libclang-rt-19-dev" >&2
    exit 1
}
CC=$clang "$root/tools/build_for.sh" asan -Dbuildtype=debugoptimized -Db_sanitize=address,undefined \
    -Db_lundef=false -Dc_link_args=-shared-libasan \
    "-Dc_args=-fno-sanitize-recover=undefined -fno-sanitize=function -fsanitize-ignorelist=$root/tools/sanitizer_ignore.txt"

cd "$root"
# allocations through malloc, so that Python's objects are watched too
sanitized() {
    PYTHONSAFEPATH=1 PYTHONPATH=$root/build/asan/site LD_PRELOAD=$runtime PYTHONMALLOC=malloc \
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 "$PYTHON" "$@"
}
# a byte behind a block of 100 must be found out, or the sanitizer does not work here
control='import ctypes, mlopt; x = mlopt.empty_aligned(100, "u1"); ctypes.memset(x.ctypes.data + 100, 0, 1)'
if sanitized -c "$control" 2> build/asan.control || ! grep -q "use-after-poison" build/asan.control; then
    cat build/asan.control >&2
    echo "test-asan: a write behind a block was not found out" >&2
    exit 1
fi
[ $# -gt 0 ] || set -- tests
sanitized -m pytest -q -p no:cacheprovider -m "not no_sanitizer and not peer" "$@"
