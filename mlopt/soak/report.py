"""The report as files: soak.json with everything, soak.svg to look at."""

from __future__ import annotations

import json
import os
from pathlib import Path

from mlopt._files import whole_file
from mlopt.soak.plots import draw
from mlopt.soak.result import Result


def write_report(result: Result, directory: str | os.PathLike[str]) -> Path:
    """Write soak.json and soak.svg.

    Parameters
    ----------
    result : Result
        What to report.
    directory : path
        Where to; it is made if need be, and the two files in it are replaced.

    Returns
    -------
    Path
        The JSON file.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    values = result.to_dict()
    text = json.dumps(values, allow_nan=False, ensure_ascii=False)
    with whole_file(directory / "soak.json") as file:
        file.write(text.encode() + b"\n")
    with whole_file(directory / "soak.svg") as file:
        file.write(draw(Result.from_dict(values)).encode())  # rounded as in the file: drawn again, it is the same
    return directory / "soak.json"
