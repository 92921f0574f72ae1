#!/bin/sh
# usage: tools/install.sh --build PYTHON    make .venv, install the build requirements into it
#        tools/install.sh EXTRA             mlopt with an extra, from build/venv: only what changed is built
#        tools/install.sh --editable EXTRA  the same, editable: rebuilds when it is imported
#        tools/install.sh --torch           PyTorch for processors, where it can be had
set -eu
cd "$(dirname "$0")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1
python=$PWD/.venv/bin/python
PATH=$PWD/.venv/bin:$PATH # meson, ninja and cython of the environment
pip() { "$python" -m pip --quiet "$@"; }

case $1 in
--build)
    [ -x "$python" ] || {
        "$2" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
            echo "mlopt needs Python 3.11 or newer; $2 is $("$2" --version). Say make PYTHON=python3.x" >&2
            exit 1
        }
        "$2" -m venv .venv
    }
    requirements=$("$python" -c '
import tomllib
print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"]))')
    pip install --upgrade pip
    echo "$requirements" | tr '\n' '\0' | xargs -0 "$python" -m pip --quiet install ninja
    touch .venv/.build
    ;;
--torch)
    # MLOPT_TORCH_INDEX names an index of smaller builds, without CUDA
    if ! "$python" -c 'import torch' 2> /dev/null; then
        pip install ${MLOPT_TORCH_INDEX:+--index-url "$MLOPT_TORCH_INDEX"} torch==2.13.0 ||
            echo "PyTorch cannot be had here: its tests are skipped" >&2
    fi
    ;;
*)
    editable=
    if [ "$1" = --editable ]; then
        touch .venv/.editable
        shift
    fi
    [ ! -e .venv/.editable ] || editable=--editable
    pip install --no-build-isolation -Cbuild-dir=build/venv $editable ".[$1]"
    touch ".venv/.with-$1"
    ;;
esac
