"""The main job, end to end: real market bars in, features, a network trained and served, a report.

Reads bars (20 years of S&P 500 days by default), streams them through the features, trains a network
walk-forward on the older part, serves the younger part bar by bar with an online gradient step, checks
itself against the reference kernels while it runs, and is held against a baseline program and the
stated targets.  Prints a table; writes index.html and report.json.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

# the libraries of the extra are asked for here, so that their absence is told before anything runs
import matplotlib  # noqa: F401
from rich.console import Console

from mlopt.cli import CommandError
from mlopt.demo.job import SAMPLE, BarsError, run_demo
from mlopt.demo.page import write_report
from mlopt.demo.table import LiveProgress, print_result
from mlopt.features import read_bars, sample_bars


def _at_least(smallest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = smallest - 1
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {smallest}")
        return value

    return parse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``mlopt demo``."""
    parser.add_argument(
        "--bars",
        metavar="FILE",
        help="CSV or Parquet with open, high, low, close, volume and, if it likes, a timestamp",
    )
    parser.add_argument(
        "--report",
        metavar="DIR",
        default="mlopt-report",
        help="folder of index.html and report.json (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=_at_least(0),
        default=0,
        help="everything but the timings is the same for the same seed (default: 0)",
    )
    parser.add_argument(
        "--passes",
        metavar="N",
        type=_at_least(1),
        default=10,
        help="times the younger bars are served, for the latencies; forecasts count the first time"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--check-every",
        metavar="N",
        type=_at_least(1),
        default=250,
        help="bars from check to check against the reference kernels (default: %(default)s)",
    )
    parser.add_argument("--no-progress", action="store_true", help="draw no progress bars")


def run(arguments: argparse.Namespace) -> int:
    """``mlopt demo``: 1 where a check against the reference kernels failed."""
    console = Console()
    try:
        bars = read_bars(arguments.bars) if arguments.bars else sample_bars()
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from error
    try:
        with LiveProgress(console, enabled=not arguments.no_progress) as progress:
            result = run_demo(
                bars,
                Path(arguments.bars).name if arguments.bars else SAMPLE,
                seed=arguments.seed,
                passes=arguments.passes,
                check_every=arguments.check_every,
                progress=progress,
            )
    except BarsError as error:
        name = f"{arguments.bars}: " if arguments.bars else ""
        raise CommandError(f"{name}{error}") from error
    print_result(result, console)
    try:
        page = write_report(result, arguments.report)
    except OSError as error:
        raise CommandError(f"the report cannot be written: {error}") from error
    console.print(f"report        {page}", highlight=False, soft_wrap=True)
    if not result.passed:
        print("mlopt demo: a check against the reference kernels failed", file=sys.stderr)
        return 1
    return 0
