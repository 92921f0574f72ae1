#!/bin/sh
# usage: PYTHON=... tools/test_emulated.sh [pytest arguments]
# Import and kernel tests on processors that this machine is not: Nehalem (reference and generic tier),
# and Haswell (avx2), as qemu emulates them: every STRIDE-th kernel test (29), all of them with STRIDE=1.  And one program that must die there of its AVX2 instruction.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
[ "$(uname -m)" = x86_64 ] || { echo "test-emulated: skipped, the processors are x86-64 ones"; exit 0; }
command -v qemu-x86_64 > /dev/null || { echo "test-emulated: skipped, no qemu-x86_64: apt install qemu-user"; exit 0; }

"$root/tools/build_for.sh" emulated -Dbuildtype=release
# -S: without the hooks of an editable install; the packages come by path
paths=$("$PYTHON" -P -c 'import sys; print(":".join(path for path in sys.path if "-packages" in path))')
emulated() {
    processor=$1
    shift
    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE -u MLOPT_MAX_ISA OPENBLAS_NUM_THREADS=1 PYTHONSAFEPATH=1 \
        PYTHONPATH="$root/build/emulated/site:$root/tools:$paths" STRIDE="${STRIDE:-29}" MLOPT_TEST_GUARD=0 qemu-x86_64 -cpu "$processor" "$PYTHON" -S "$@" 2> "$errors"
}
errors=$root/build/emulated.errors
fail() {
    grep -v "TCG doesn't support requested feature" "$errors" >&2 || true
    echo "test-emulated: $1" >&2
    exit 1
}

compiler=$(command -v "${CC:-cc}")
"$compiler" -O2 -mavx2 "$root/tests/c/avx2_control.c" -o "$root/build/avx2_control"
if qemu-x86_64 -cpu Nehalem "$root/build/avx2_control" > /dev/null 2>&1; then
    echo "test-emulated: a Nehalem ran AVX2 instructions: the emulation proves nothing" >&2
    exit 1
fi
qemu-x86_64 -cpu Haswell "$root/build/avx2_control" 2> "$errors" || fail "a Haswell did not run AVX2 instructions"

cd "$root"
for machine in Nehalem:generic Haswell:avx2; do
    processor=${machine%:*}
    echo "$processor"
    emulated "$processor" "$root/tools/emulated_check.py" "${machine#*:}" || fail "check failed on a $processor"
    if [ $# -gt 0 ] || [ -n "$(find tests/kernels -name 'test_*.py' 2> /dev/null)" ]; then
        emulated "$processor" -m pytest -q -p no:cacheprovider -p no:xdist -p every_nth -x \
            -m "not slow and not peer and not no_emulator" "${@:-tests/kernels}" || fail "tests failed on a $processor"
    fi
done
