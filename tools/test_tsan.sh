#!/bin/sh
# usage: tools/test_tsan.sh
# The lock-free structures under ThreadSanitizer: every program of tests/c named *_stress.c, and one
# that races on purpose and must be found out.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/build/tsan
mkdir -p "$out"
compiler=$(command -v clang-19 || command -v clang || command -v "${CC:-cc}")
flags="-std=gnu11 -O1 -g -Wall -Wextra -fsanitize=thread -I$root/mlopt/_kernels -pthread"
export TSAN_OPTIONS="halt_on_error=1 exitcode=66"
# setarch: ThreadSanitizer of older compilers cannot place its shadow with full address randomisation
run() { if setarch -R true 2>/dev/null; then setarch -R "$@"; else "$@"; fi; }

for program in "$root"/tests/c/*_stress.c; do
    name=$(basename "$program" .c)
    sources=$(sed -n 's,^// sources: ,,p' "$program" | sed "s,[^ ]*,$root/mlopt/_kernels/&,g")
    "$compiler" $flags "$program" $sources -o "$out/$name" -lm
    echo "$name"
    run "$out/$name"
done
"$compiler" $flags "$root/tests/c/race_control.c" -o "$out/race_control"
if run "$out/race_control" 2> "$out/race_control.log"; then
    echo "race_control was not found out: ThreadSanitizer does not work here" >&2
    exit 1
fi
grep -q "data race" "$out/race_control.log" || { cat "$out/race_control.log" >&2; exit 1; }
echo "race_control: found out, as it must be"
