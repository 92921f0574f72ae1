"""The stated targets: what each is, the baseline program, the peers, the measurement, the report.

How it fits together::

    definitions.py     the table: a Target per row, with its goals; `run` measures rows
        rows/          the work of each row, as a Contest: ours, baseline, peers, limits
        baseline/      the fixed program that does what was done before
        peers.py       the other libraries, where they are installed
        limits.py      the machine's own limits (kernels of the family `limits`)
    contest.py         measures the alternatives of a contest together and fills a Row
        measure.py     interleaved batches, ratios pair by pair, latencies
        result.py      Row, Goal, Judgement: what was measured and whether it meets the goal
    report.py          terminal, JSON, reStructuredText, Markdown
    command.py         ``mlopt targets``

One definition of the work serves the command, the ``track_*`` benchmarks in ``asv_bench/`` and the
documentation.  A row never reports a pass for something that was not measured.

Examples
--------
>>> from mlopt.targets import find
>>> find("inference").goals[0].text
'< 3 µs'
"""

from mlopt.targets.contest import Options
from mlopt.targets.definitions import TARGETS, Target, find, run
from mlopt.targets.result import Row

__all__ = ["TARGETS", "Options", "Row", "Target", "find", "run"]
