"""Measure the stated targets on this machine: against the baseline program, its limits, and other libraries."""

from __future__ import annotations

import argparse
import os
import sys

from mlopt.targets.definitions import TARGETS, find

RESTARTED = "MLOPT_TARGETS_RESTARTED"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``mlopt targets``."""
    parser.add_argument("--only", metavar="ID[,ID]", type=_ids, help="only these rows (--list names them)")
    parser.add_argument("--list", action="store_true", help="list the rows and their goals, measure nothing")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON to a file, or - for the output")
    parser.add_argument(
        "--table", metavar="FILE", type=_table, help="write the table to a file: .rst or .md, as in the documentation"
    )
    parser.add_argument(
        "--peers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare with the other libraries that are installed (default: yes)",
    )
    parser.add_argument("--full", action="store_true", help="also the sizes that take minutes and gigabytes")
    parser.add_argument(
        "--seconds", type=seconds_argument, default=2.0, metavar="S", help="time for each comparison (default: 2)"
    )


def _ids(text: str) -> list[str]:
    ids = [id.strip() for id in text.split(",") if id.strip()]
    if not ids:
        raise argparse.ArgumentTypeError("no row is named")
    try:
        for id in ids:
            find(id)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return ids


def _table(path: str) -> str:
    if os.path.splitext(path)[1] not in (".rst", ".md"):
        raise argparse.ArgumentTypeError(f"{path!r} must end in .rst or .md")
    return path


def seconds_argument(text: str) -> float:
    """A positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; the exit code is 0 also where goals are missed: the table says so."""
    if arguments.list:
        _list()
        return 0
    from mlopt.targets import peers

    restart_in_fair_environment()
    check_named_library()
    from rich.console import Console

    from mlopt.targets.contest import Options
    from mlopt.targets.definitions import run as run_rows
    from mlopt.targets.report import (
        Report,
        describe_machine,
        machine_lines,
        print_row,
        summary,
        to_markdown,
        to_rst,
        write_json,
    )

    console = Console(stderr=arguments.json == "-")
    if arguments.peers:
        peers.load_threaded()  # so that the machine's description names their BLAS
    report = Report([], describe_machine())
    if not arguments.peers:
        report.machine["peers"] = {}
    if names := os.environ.get(RESTARTED):
        report.notes.append(f"started again with another environment, in fairness to the peers: {names}")
    for line in machine_lines(report.machine) + report.notes:
        console.print(line, style="dim", markup=False, highlight=False)
    console.print()
    options = Options(arguments.seconds, arguments.peers, arguments.full)
    for row in run_rows(arguments.only, options):
        report.rows.append(row)
        print_row(row, console)
    console.print(summary(report.rows), markup=False)
    if arguments.json == "-":
        write_json(report, sys.stdout)
    elif arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            write_json(report, file)
    if arguments.table:
        with open(arguments.table, "w", encoding="utf-8") as file:
            file.write(to_rst(report) if arguments.table.endswith(".rst") else to_markdown(report))
    return 0


def check_named_library() -> None:
    """Refuse a library that the environment names as a peer and that cannot be one."""
    from mlopt.cli import CommandError
    from mlopt.targets import cblas

    try:
        cblas.load()
    except OSError as error:
        raise CommandError(f"{cblas.VARIABLE}: {error}") from None


def _list() -> None:
    for target in TARGETS:
        goals = "; ".join(f"{goal.kind} {goal.text}" for goal in target.goals) or "reported as it is"
        absent = "" if target.measured_by else "  [not in this version]"
        print(f"{target.id:24} {target.title}: {goals}{absent}")


def restart_in_fair_environment() -> None:
    """Start the process again where its environment lames a peer: libraries read it when they are loaded."""
    from mlopt._kernels.core import cpu_report
    from mlopt.targets import peers

    environment = peers.fair_environment(cpu_report()["amx"])
    if environment is None or RESTARTED in os.environ:
        return
    changed = sorted(name for name in {*environment, *os.environ} if environment.get(name) != os.environ.get(name))
    text = ", ".join(f"{name}={environment[name]}" if name in environment else f"{name} unset" for name in changed)
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment | {RESTARTED: text})
