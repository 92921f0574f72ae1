#!/bin/sh
# usage: tools/bench.sh [asv arguments]: the benchmarks of this commit, kept in asv_bench/results
set -eu
cd "$(dirname "$0")/../asv_bench"
asv machine --yes > /dev/null
exec asv run --set-commit-hash "$(git rev-parse HEAD)" -E existing:same "$@"
