"""The library under load: pipelines, queues, pools and maps on threads and in processes, with bad records, killed
workers and refused allocations, for as long as asked.

Every record is accounted for; memory, descriptors, latencies and rates are sampled all along.  Writes soak.json
and soak.svg.  The exit code is 0 if it held, 1 if not (and what did not is told), 2 for a wrong call.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

# the libraries of the extra are asked for here, so that their absence is told before anything runs
import matplotlib  # noqa: F401
from rich.console import Console

from mlopt.cli import CommandError
from mlopt.soak.loads import LOADS
from mlopt.soak.plots import draw
from mlopt.soak.report import write_report
from mlopt.soak.result import Result
from mlopt.soak.run import Settings, Soak
from mlopt.soak.table import LiveLine, print_result

SHORTEST = 2.0  # seconds
FAULTS = ("leak", "lose", "repeat", "wrong", "crash", "leave", "stall")


def _seconds(unit: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = unit * float(text)
        except ValueError:
            value = math.nan
        if not SHORTEST <= value <= 1e9:
            raise argparse.ArgumentTypeError(f"{text!r} is not a time of at least {SHORTEST:g} seconds")
        return value

    return parse


def _whole(smallest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {smallest}")
        return int(text)

    return parse


def _loads(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    unknown = [name for name in names if name not in LOADS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not a load; they are {', '.join(LOADS)}")
    return names


def _faults(text: str) -> dict[str, str]:
    faults = {}
    for part in text.split(","):
        load, _, what = part.partition(":")
        if load not in LOADS or what not in FAULTS:
            raise argparse.ArgumentTypeError(f"{part!r} is not LOAD:WHAT with WHAT one of {', '.join(FAULTS)}")
        faults[load] = what
    return faults


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``mlopt soak``."""
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--hours", dest="seconds", metavar="H", type=_seconds(3600), help="how long")
    length.add_argument("--minutes", dest="seconds", metavar="M", type=_seconds(60), help="how long")
    length.add_argument("--seconds", metavar="S", type=_seconds(1), default=60.0, help="how long (default: 60)")
    parser.add_argument(
        "--report", metavar="DIR", default="mlopt-soak", help="folder of soak.json and soak.svg (default: %(default)s)"
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=_whole(0),
        default=0,
        help="of the records, and of what is killed and refused (default: 0)",
    )
    parser.add_argument(
        "--processes", metavar="N", type=_whole(1), default=1, help="pipelines in processes at a time (default: 1)"
    )
    parser.add_argument("--loads", metavar="A,B", type=_loads, default=tuple(LOADS), help=f"of {', '.join(LOADS)}")
    parser.add_argument("--replot", metavar="FILE", help="only draw the plot of a soak.json again, beside it")
    parser.add_argument("--no-progress", action="store_true", help="draw no live line")
    parser.add_argument("--faults", metavar="LOAD:WHAT,…", type=_faults, help=argparse.SUPPRESS)


def _replot(path: Path) -> int:
    try:
        result = Result.from_dict(json.loads(path.read_text(encoding="utf-8")))
        plot = path.with_suffix(".svg")
        plot.write_text(draw(result), encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CommandError(f"{path}: {error}") from error
    print(plot)
    return 0


def run(arguments: argparse.Namespace) -> int:
    """``mlopt soak``: 1 where it did not hold."""
    if arguments.replot:
        return _replot(Path(arguments.replot))
    faults = arguments.faults or {}
    for broken in faults:
        if broken not in arguments.loads:
            raise CommandError(f"--faults has {broken}, which is not among the loads")
    folder = Path(arguments.report)
    try:  # not after a day
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise CommandError(f"the report cannot be written: {error}") from error
    settings = Settings(
        seconds=arguments.seconds,
        seed=arguments.seed,
        processes=arguments.processes,
        loads=arguments.loads,
        faults=faults,
    )
    console = Console()
    with LiveLine(console, enabled=not arguments.no_progress) as line:
        soak = Soak(settings, line)
        previous = {
            number: signal.signal(number, lambda caught, _: soak.end_early(signal.Signals(caught).name))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            result = soak.run()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
    print_result(result, console)
    page = write_report(result, folder)
    console.print(f"report        {page}", highlight=False, soft_wrap=True)
    if not result.held:
        broken_ones = [verdict for verdict in result.verdicts if not verdict.held]
        for verdict in broken_ones:
            print(f"mlopt soak: did not hold: {verdict.name}: {verdict.words}", file=sys.stderr)
        return 1
    return 0
