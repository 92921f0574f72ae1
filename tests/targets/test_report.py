"""Report: JSON there and back, tables, the command's arguments."""

import argparse
import io
import json

import pytest

from mlopt.targets import TARGETS, command
from mlopt.targets.definitions import find
from mlopt.targets.measure import Spread
from mlopt.targets.report import (
    HEADERS,
    Report,
    cells,
    describe_machine,
    duration,
    print_row,
    rate,
    summary,
    to_markdown,
    to_rst,
)
from mlopt.targets.result import MEASURED, Comparison, Row, Share, judge


def measured_row():
    target = find("matmul_1024")
    row = target.row()
    row.status = MEASURED
    row.figure = Spread(41e-3, 40e-3, 42e-3, 12)
    row.figures["2 cores"] = 21e-3
    row.baseline = Comparison("baseline program", Spread(4.1, 4.0, 4.2, 3), Spread(100.0, 99.0, 101.0, 3), 0.85)
    row.peers = [Comparison("NumPy 2.4", Spread(44e-3, 44e-3, 44e-3, 1), Spread(1.07, 1.07, 1.07, 1))]
    row.limits = [Share("FMA float64", Spread(59e9, 58e9, 60e9, 12), "FLOP/s", Spread(0.9, 0.89, 0.91, 12))]
    row.metrics = {"figure": 41e-3, "share": 0.9, "vs_peer": 1.07}
    row.scales = {"FMA float64": 59 / 125}
    row.details = [{"on 2 cores": "mlopt", "ms": 21.0}, {"on 2 cores": "a|b", "÷ ours": 1.25}]
    row.notes = ["with *stars* and [brackets]"]
    row.judgements = [judge(goal, row) for goal in target.goals]
    return row


@pytest.fixture
def report():
    rows = [measured_row()] + [target.row() for target in TARGETS if not target.measured_by]
    return Report(rows, describe_machine(), ["a note"])


def test_json_round_trip(report):
    assert Report.from_json(report.to_json()) == report
    data = json.loads(report.to_json())
    assert data["rows"][0]["verdict"] == "missed"
    assert set(data) == {"format", "machine", "notes", "rows"}


def test_json_of_another_format_is_refused(report):
    data = json.loads(report.to_json())
    with pytest.raises(ValueError, match="format 99"):
        Report.from_json(json.dumps(data | {"format": 99}))
    data["rows"][0]["surprise"] = 1
    with pytest.raises(ValueError, match="surprise"):
        Report.from_json(json.dumps(data))


def test_cells_tell_the_whole_row():
    text = dict(zip(HEADERS, ("\n".join(lines) for lines in cells(measured_row())), strict=True))
    assert "41 ms (40 ms–42 ms)" in text["measured"]
    assert "2 cores: 21 ms" in text["measured"]
    assert "stated < 40 ms: met (scaled to this machine: 2.1×; unscaled: missed)" in text["stated and goals"]
    assert "≥ 1.1× the best peer: missed, 1.07" in text["stated and goals"]
    assert "the plan's figure: 850 ms" in text["baseline"]
    assert "NumPy 2.4: 44 ms, 1.07× (once)" in text["peers"]
    assert "FMA float64: 59 GFLOP/s, reached 90 %" in text["limit"]
    assert cells(Row("x", "x", "x", "hot path"))[1] == ["not in this version"]


def test_tables(report):
    markdown = to_markdown(report)
    assert markdown.count("\n| ") == 2 + len(report.rows)  # header and rule
    rst = to_rst(report)
    assert "matmul\\_1024" in rst
    assert "with \\*stars\\*" in rst
    assert summary(report.rows) in rst


def test_rst_is_valid(report):
    core = pytest.importorskip("docutils.core")
    warnings = io.StringIO()
    core.publish_doctree(to_rst(report), settings_overrides={"warning_stream": warnings})
    assert warnings.getvalue() == ""


def test_terminal(report):
    rich = pytest.importorskip("rich.console")
    console = rich.Console(file=io.StringIO(), width=200)
    for row in report.rows:
        print_row(row, console)
    text = console.file.getvalue()
    assert "with *stars* and [brackets]" in text
    assert "gpu_parity" in text


def test_figures_in_units():
    given = (1.5e-9, 999.6e-9, 2.3e-6, 0.85, 12.0, 0.0)
    assert [duration(s) for s in given] == ["1.5 ns", "1000 ns", "2.3 µs", "850 ms", "12 s", "0 ns"]
    assert (rate(3.35e11, "B/s"), rate(12.0, "B/s")) == ("335 GB/s", "12 B/s")


def parse(*argv):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(argv)


def test_arguments():
    arguments = parse("--only", "gradient, inference", "--no-peers", "--seconds", "0.5")
    assert (arguments.only, arguments.peers, arguments.seconds) == (["gradient", "inference"], False, 0.5)
    assert parse().peers is True


@pytest.mark.parametrize(
    "argv", [("--only", "nonsense"), ("--only", ","), ("--seconds", "0"), ("--seconds", "soon"), ("--table", "x.txt")]
)
def test_bad_arguments_are_refused(argv, capsys):
    with pytest.raises(SystemExit):
        parse(*argv)
    assert "error: argument" in capsys.readouterr().err


def test_list(capsys):
    assert command.run(parse("--list")) == 0
    text = capsys.readouterr().out
    assert all(target.id in text for target in TARGETS)


def test_command_measures_and_writes(tmp_path, monkeypatch, capsys):
    pytest.importorskip("rich")
    monkeypatch.setenv(command.RESTARTED, "")
    table, file = tmp_path / "targets.rst", tmp_path / "report.json"
    assert command.run(parse("--only", "gpu_parity,pgo", "--no-peers", "--table", str(table), "--json", str(file))) == 0
    assert [row.id for row in Report.from_json(file.read_text()).rows] == ["gpu_parity", "pgo"]
    assert "pgo" in table.read_text()
    capsys.readouterr()
    assert command.run(parse("--only", "pgo", "--no-peers", "--json", "-")) == 0
    assert Report.from_json(capsys.readouterr().out).rows[0].verdict() == "not in this version"


def test_process_starts_again_where_a_peer_would_be_lamed(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    monkeypatch.delenv(command.RESTARTED, raising=False)
    started = []
    monkeypatch.setattr("os.execve", lambda path, argv, environment: started.append(environment))
    command.restart_in_fair_environment()
    assert "OPENBLAS_CORETYPE" not in started[0]
    assert "OPENBLAS_CORETYPE unset" in started[0][command.RESTARTED]
    monkeypatch.setenv(command.RESTARTED, "x")
    command.restart_in_fair_environment()
    assert len(started) == 1
