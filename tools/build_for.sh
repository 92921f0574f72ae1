#!/bin/sh
# usage: PYTHON=... tools/build_for.sh NAME [meson options]
# Builds mlopt with options of its own into build/NAME, to be imported from build/NAME/site by PYTHONPATH.
# $PYTHON has the build requirements installed.
set -eu
name=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/$name
log=$build.log
mkdir -p "$root/build"
printf "[binaries]\npython = '%s'\n" "$PYTHON" > "$build.ini"

meson() { PATH=$(dirname "$PYTHON"):$PATH "$PYTHON" -P -m mesonbuild.mesonmain "$@" >> "$log" 2>&1; }
reconfigure=
[ ! -e "$build/build.ninja" ] || reconfigure=--reconfigure
: > "$log"
meson setup $reconfigure --native-file "$build.ini" --prefix "$build" \
    -Dpython.platlibdir=site -Dpython.purelibdir=site "$@" "$build" "$root" &&
    meson compile -C "$build" &&
    meson install -C "$build" --no-rebuild --quiet || {
    tail -40 "$log" >&2
    exit 1
}
# an editable install of mlopt in the same environment must not win over PYTHONPATH
cat > "$build/site/sitecustomize.py" <<'PYTHON'
import sys

sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "_mlopt_editable_loader"]
PYTHON
