"""Show what was built, and what this machine runs of it: the two reports to send along with a question."""

import argparse
import json

from mlopt.runtime import config_info, runtime_info, show_config, show_runtime


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``mlopt info``."""
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(arguments: argparse.Namespace) -> None:
    """``mlopt info``."""
    if arguments.json:
        print(json.dumps({"runtime": runtime_info(), "config": config_info()}, indent=1))
        return
    show_runtime()
    print()
    show_config()
