#!/bin/sh
# usage: tools/lint.sh [--fix]: all checks of style and stubs, or what of it can be mended by itself
set -eu
cd "$(dirname "$0")/.."
c_files=$(find mlopt tests -name '*.[ch]')
python_files="mlopt tests tools"
[ ! -d asv_bench ] || python_files="$python_files asv_bench/benchmarks"
if [ "${1:-}" = --fix ]; then
    ruff check --fix $python_files
    ruff format $python_files
    clang-format -i $c_files
    exit
fi
failed=0
check() {
    echo "$1"
    "$@" || failed=1
}
check ruff check $python_files
check ruff format --check $python_files
check cython-lint mlopt
check clang-format --dry-run -Werror $c_files
check mypy
exit $failed
