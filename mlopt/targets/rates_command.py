"""Measure rates over sizes and shapes: every point against the machine's limit and the other libraries.

Points have ids, set/type/name: square/float64/1024, small/float32/8, "shapes/float32/64×12544×147 nn",
"vector/float64/exp 1M". Everything takes a quarter of an hour; the products alone less than ten minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from mlopt.targets.command import check_named_library, restart_in_fair_environment, seconds_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``mlopt rates``."""
    parser.add_argument(
        "--only",
        metavar="PATTERN[,PATTERN]",
        type=lambda text: [pattern for pattern in text.split(",") if pattern],
        help="only points whose id matches, as square, shapes/float32 or square/*/1024",
    )
    parser.add_argument("--list", action="store_true", help="list the ids, measure nothing")
    parser.add_argument("--json", metavar="FILE", help="write what was measured to a file, after every point")
    parser.add_argument("--resume", action="store_true", help="keep the points that the file has already")
    parser.add_argument(
        "--seconds", type=seconds_argument, default=0.2, metavar="S", help="time for each point (default: 0.2)"
    )
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="measure processor time in place of wall time, on a machine where others compute as well",
    )
    parser.add_argument(
        "--peers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare with the other libraries that are installed (default: yes)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write."""
    from mlopt.cli import CommandError
    from mlopt.targets.rates import Rates, chosen, measure, summaries

    try:
        selected = chosen(arguments.only)
    except ValueError as error:
        raise CommandError(f"--only: {error}") from None
    if arguments.list:
        for point in selected:
            print(point.id + (f"  {point.source}" if point.source else ""))
        return 0
    if arguments.resume and not arguments.json:
        raise CommandError("--resume needs --json FILE: what was measured before")
    restart_in_fair_environment()
    check_named_library()
    from mlopt.targets import peers
    from mlopt.targets.report import describe_machine, duration, machine_lines

    if arguments.peers:
        peers.load_threaded()
    rates = Rates(describe_machine() | {"clock": "processor time" if arguments.cpu_time else "wall time"})
    if arguments.resume and os.path.exists(arguments.json):
        with open(arguments.json, encoding="utf-8") as file:
            before = Rates.from_json(file.read())
        differing = [
            name for name in ("cpu", "tier", "blas", "clock") if before.machine.get(name) != rates.machine[name]
        ]
        if differing:
            raise CommandError(f"--resume: {arguments.json} was measured with another {', '.join(differing)}")
        rates.rates = before.rates
        selected = [point for point in selected if point.id not in before.rates]
    for line in machine_lines(rates.machine):
        print(line)
    start = time.perf_counter()
    for done, point in enumerate(selected, 1):
        rate = measure(point, arguments.seconds, arguments.peers, arguments.cpu_time)
        rates.rates[point.id] = rate
        columns = [f"{method} {duration(s)} {100 * share:.0f} %" for method, (s, share) in rate.ours.items()]
        best = {method: found for method in rate.ours if (found := rate.against_best(method))}
        columns += [f"{method} {ratio:.2f}× {peer}" for method, (peer, ratio) in best.items()]
        print(f"{done}/{len(selected)} {point.id:32} " + "   ".join(columns), flush=True)
        if arguments.json:
            _write(arguments.json, rates.to_json())
    print(f"measured {len(selected)} points in {time.perf_counter() - start:.0f} s")
    for summary in summaries(rates):
        print(summary)
    sys.stdout.flush()
    return 0


def _write(path: str, text: str) -> None:
    """Replace the file at once: an interrupted run leaves a whole one."""
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.part", path)
