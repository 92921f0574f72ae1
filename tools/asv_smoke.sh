#!/bin/sh
# Every benchmark imports, and one of each kind runs; nothing is kept.  Under two minutes.
set -eu
folder=$(dirname "$0")
exec "$folder/bench.sh" --quick --dry-run --show-stderr \
    --bench 'Register.track_ns\((.add.|.sum.|.limit_fma.), .f32., 1024\)' --bench bench_memory --bench bench_api \
    --bench VectorOperations --bench 'bench_matmul.*\((64|.1x4096x1024 nt.|.dot.), .float32.' \
    --bench 'bench_sparse.*\((64|256|.five.), .float32.' --bench 'bench_svd.*\(.512 x 512.' --bench 'MapReads.*\(100\)'
