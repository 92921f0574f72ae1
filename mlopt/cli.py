"""The command line: ``mlopt <command>``.

A command is a module with ``add_arguments(parser)`` and ``run(arguments)``, which returns the exit code
(None for 0).  It is imported when its name is on the command line and not before, so that no command
pays for the libraries of another.

Exit codes: 0 all well, 1 a check failed, 2 the call was wrong (arguments, files, missing libraries).
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import mlopt


class Command(NamedTuple):
    """A row of the table of commands."""

    module: str
    help: str
    extra: str = ""  # the optional dependencies it may need: pip install "mlopt[extra]"


COMMANDS = {
    "demo": Command("mlopt.demo.command", "the main job: real market bars, features, a network, a report", "demo"),
    "targets": Command("mlopt.targets.command", "measure the stated targets on this machine", "targets"),
    "rates": Command("mlopt.targets.rates_command", "measure rates over sizes, shapes and libraries", "targets"),
    "info": Command("mlopt.info", "what was built, and what this machine runs of it"),
    "quantize": Command("mlopt.quantization.command", "quantise a model to 8-bit integers, with a comparison", "onnx"),
    "soak": Command("mlopt.soak.command", "the library under load for hours: memory, errors, every record", "demo"),
    "verify": Command("mlopt.verify", "compare every kernel on every tier with the reference kernels"),
}


class CommandError(Exception):
    """What a command was asked to do cannot be done; the message is all that is shown of it."""


class _CommandParser(argparse.ArgumentParser):
    """The parser of one command, which asks the command's module for its arguments when it is used."""

    command: Command | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.command is not None:
            module = importlib.import_module(self.command.module)
            self.description = module.__doc__
            module.add_arguments(self)
            self.set_defaults(run=module.run)
            self.command = None
        return super().parse_known_args(args, namespace)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlopt", description=mlopt.__doc__)
    parser.add_argument("--version", action="version", version=f"mlopt {mlopt.__version__}")
    commands = parser.add_subparsers(metavar="command", dest="command", required=True, parser_class=_CommandParser)
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.help, formatter_class=argparse.RawDescriptionHelpFormatter)
        subparser.command = command
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0, or 1 where a check failed, or 2 where the call was wrong.

    Examples
    --------
    >>> from mlopt.cli import main
    >>> main(["info"])  # doctest: +SKIP
    0
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = _make_parser().parse_args(argv)
        return int(arguments.run(arguments) or 0)
    except ImportError as error:
        command = COMMANDS.get(argv[0])
        if command is None or not command.extra or (error.name or "").split(".")[0] == "mlopt":
            raise  # a fault of this package, not a library that is not there
        print(f'mlopt {argv[0]} needs: pip install "mlopt[{command.extra}]"  ({error})', file=sys.stderr)
        return 2
    except CommandError as error:
        print(f"mlopt {argv[0]}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `mlopt info | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
