"""``python -m mlopt``: the command line."""

import sys

from mlopt.cli import main

if __name__ == "__main__":
    sys.exit(main())
