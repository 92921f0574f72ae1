#!/bin/sh
# Measures the installed version and keeps the result under the commit that is checked out, for a
# machine of a neutral name.  Arguments go to `asv run` (for example: --bench bench_targets).
set -eu
cd "$(dirname "$0")/../asv_bench"
python=${PYTHON:-python}
# asv keeps machine descriptions in the home directory; this one is nobody's
HOME=$(mktemp -d) && export HOME && trap 'rm -rf "$HOME"' EXIT
"$python" -m asv machine --machine mlopt-reference --os "$(uname -s)" --arch "$(uname -m)" --cpu "" --num_cpu "" \
    --ram "" >/dev/null
"$python" -m asv run -E existing:same --machine mlopt-reference --set-commit-hash "$(git rev-parse HEAD)" "$@"
# asv names an environment after the path of its Python: that, too, is nobody's business
"$python" - <<'EOF'
import glob
import os
import re
import sys

name = f"existing-py{sys.version_info.major}.{sys.version_info.minor}"
for path in glob.glob("results/mlopt-reference/*-existing-*.json"):
    with open(path) as file:
        text = file.read()
    os.remove(path)
    with open(re.sub(r"-existing-.*", f"-{name}.json", path), "w") as file:
        file.write(re.sub(r"existing-py_[^\"]*", name, text).replace(sys.executable, "python"))
EOF
