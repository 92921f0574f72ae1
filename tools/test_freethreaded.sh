#!/bin/sh
# usage: PYTHON_FREETHREADED=... tools/test_freethreaded.sh [pytest arguments]
# The test suite on a CPython built without the GIL (python3.13t by default), in build/freethreaded.  Libraries of the
# extra "test" that have no wheel for it are left out, and their tests skipped.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
interpreter=${PYTHON_FREETHREADED:-python3.13t}
"$interpreter" -c 'import sys; sys.exit(getattr(sys, "_is_gil_enabled", lambda: True)())' 2> /dev/null || {
    echo "test-freethreaded: $interpreter is not a Python without the GIL; name one by PYTHON_FREETHREADED=" >&2
    exit 1
}
venv=$root/build/freethreaded/venv
python=$venv/bin/python
PATH=$venv/bin:$PATH # meson, ninja and cython of the environment
export PIP_DISABLE_PIP_VERSION_CHECK=1
cd "$root"
[ -x "$python" ] || "$interpreter" -m venv "$venv"

# the build's requirements, one a line, and those of an extra with the extras that it names
requirements() {
    "$python" - "$@" << 'PYTHON'
import sys, tomllib

project = tomllib.load(open("pyproject.toml", "rb"))


def of_extra(name):
    for requirement in project["project"]["optional-dependencies"][name]:
        if requirement.startswith("mlopt["):
            for other in requirement[len("mlopt[") : -1].split(","):
                yield from of_extra(other)
        else:
            yield requirement


if len(sys.argv) > 1:
    print(*dict.fromkeys(of_extra(sys.argv[1])), sep="\n")
else:
    print(*project["build-system"]["requires"], "meson", "ninja", sep="\n")
PYTHON
}
if [ ! -e "$venv/.complete" ]; then
    requirements | tr '\n' '\0' | xargs -0 "$python" -m pip --quiet install --only-binary numpy
    requirements test | while read -r requirement; do
        "$python" -m pip --quiet install --only-binary :all: "$requirement" 2> /dev/null ||
            echo "test-freethreaded: without $requirement"
    done
    # of arch, which has none, the market data alone: they are text
    if ! "$python" -c "import arch" 2> /dev/null; then
        wheels=build/freethreaded/wheels
        version=$("$python" -c 'import sys; print("%d%d" % sys.version_info[:2])')
        "$python" -m pip --quiet download --no-deps --only-binary :all: --implementation cp --abi "cp$version" \
            --python-version "$version" --dest "$wheels" "arch>=7" &&
            "$python" - "$wheels" << 'PYTHON'
import pathlib, sys, sysconfig, zipfile

site = pathlib.Path(sysconfig.get_path("purelib"))
for wheel in pathlib.Path(sys.argv[1]).glob("arch-*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site, [name for name in archive.namelist() if name.startswith("arch/data/")])
(site / "arch" / "__init__.py").touch()
PYTHON
    fi
    touch "$venv/.complete"
fi
"$python" -m pip --quiet install --no-build-isolation --no-deps --force-reinstall \
    -Cbuild-dir=build/freethreaded/meson .

# 0: also where a library turns the GIL on when it is imported; what mlopt does is tested apart
[ $# -gt 0 ] || set -- tests
PYTHONSAFEPATH=1 PYTHON_GIL=0 "$python" -m pytest -q -p no:cacheprovider -m "not slow and not peer" "$@"
