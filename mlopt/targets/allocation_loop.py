"""The program that allocations.py starts: runs code between two readings of the preloaded counter."""

import ctypes
import gc
import itertools
import json
import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import Any


def main() -> None:
    statement, setup, iterations, warm_up, functions = json.loads(sys.stdin.read())
    counter = ctypes.CDLL(None)
    counts = ctypes.c_uint64 * functions
    process, thread = counts(), counts()
    counter.mlopt_allocations_read.argtypes = (counts, counts)
    names: dict[str, Any] = {
        "__name__": "counted",
        "_counts": (process, thread),
        "_read": counter.mlopt_allocations_read,
        "_reset": counter.mlopt_allocations_reset,
    }
    exec(setup, names)

    def loop(code: str) -> Callable[[Iterable[None]], None]:
        body = textwrap.indent(textwrap.dedent(code).strip() or "pass", "        ")
        exec(f"def _run(times):\n    _reset()\n    for _ in times:\n{body}\n    _read(*_counts)\n", names)
        run: Callable[[Iterable[None]], None] = names["_run"]
        return run

    results = []
    empty, work = loop("pass"), loop(statement)
    gc.collect()
    gc.disable()
    for run in (empty, work):
        run(itertools.repeat(None, warm_up))
        run(itertools.repeat(None, iterations))
        results.append(list(process))
    print("\n" + json.dumps(results))


if __name__ == "__main__":
    main()
