"""`mlopt soak` as a user calls it: it holds; and what is broken on purpose is found."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree
from pathlib import Path

import pytest

pytest.importorskip("arch")
pytest.importorskip("matplotlib")
pytest.importorskip("rich")

from mlopt.cli import main
from mlopt.soak.processes import command_of, descendants, parents
from mlopt.soak.result import SCHEMA, Result

pytestmark = [pytest.mark.no_emulator, pytest.mark.no_sanitizer]
SOAK = [sys.executable, "-m", "mlopt", "soak", "--no-progress"]


def soak(*arguments):
    return subprocess.run([*SOAK, *arguments], capture_output=True, text=True, timeout=240, check=False)


def report(folder):
    return json.loads(Path(folder, "soak.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("soak")
    return folder, soak("--seconds", "6", "--report", str(folder))


@pytest.mark.slow
def test_everything_at_once_holds(whole):
    folder, done = whole
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    values = report(folder)
    assert values["schema"] == SCHEMA
    assert values["held"] is True
    assert values["ended_early"] == ""
    assert all(load["counters"]["records"] > 0 for load in values["loads"])
    assert all(not load["problems"] for load in values["loads"])
    assert len(values["samples"]["times"]) >= 6
    assert json.loads(json.dumps(Result.from_dict(values).to_dict())) == values


def test_row_of_the_targets(whole):
    from mlopt.targets import find
    from mlopt.targets.result import judge
    from mlopt.targets.rows.soak import fill

    target = find("soak")
    values = report(whole[0])
    row = target.row()
    fill(row, values)
    row.judgements = [judge(goal, row) for goal in target.goals]
    assert row.verdict() == "met"
    values["loads"][0]["counters"]["lost"] = 1
    values["verdicts"][0] |= {"held": False}
    row = target.row()
    fill(row, values)
    row.judgements = [judge(goal, row) for goal in target.goals]
    assert [judgement.verdict for judgement in row.judgements] == ["missed", "missed"]


def test_plot_and_replot(whole):
    folder, _ = whole
    drawn = Path(folder, "soak.svg").read_text(encoding="utf-8")
    assert xml.etree.ElementTree.fromstring(drawn).tag.endswith("svg")
    Path(folder, "soak.svg").unlink()
    done = subprocess.run([*SOAK, "--replot", str(folder / "soak.json")], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert Path(folder, "soak.svg").read_text(encoding="utf-8") == drawn


@pytest.mark.slow
def test_what_is_broken_on_purpose_is_found(tmp_path):
    faults = {
        "serving": "leak", "churn": "crash", "failures": "leave", "fused": "wrong", "threads": "lose",
        "processes": "repeat",
    }  # fmt: skip
    told = {
        "memory of serving", "unexpected errors in churn", "behind in failures", "wrong values in fused: 1 ",
        "records lost in threads: 1 ", "records twice in processes: 1 ",
    }  # fmt: skip
    done = soak(
        "--seconds", "4", "--loads", ",".join(faults), "--report", str(tmp_path),
        "--faults", ",".join(f"{load}:{what}" for load, what in faults.items()),
    )  # fmt: skip
    assert done.returncode == 1
    assert [words for words in told if words not in done.stderr] == []
    assert report(tmp_path)["held"] is False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_in_order(tmp_path, number):
    with subprocess.Popen(
        [*SOAK, "--hours", "1", "--loads", "churn", "--report", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for_load(process.pid)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert f"ended early by {number.name}" in out
    assert "Traceback" not in err
    assert report(tmp_path)["ended_early"] == number.name


def wait_for_load(pid, seconds=60):
    deadline = time.monotonic() + seconds
    while not any("mlopt.soak.host" in command_of(child) for child in descendants(pid, parents())):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def refused(*arguments):
    try:
        return main(["soak", "--no-progress", *arguments])
    except SystemExit as end:  # of the parser
        return end.code


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--seconds", "0"), "at least 2 seconds"),
        (("--hours", "nan"), "at least 2 seconds"),
        (("--seconds", "5", "--minutes", "1"), "not allowed"),
        (("--loads", "nonsense"), "'nonsense' is not a load"),
        (("--processes", "0"), "at least 1"),
        (("--replot", "nowhere.json"), "nowhere.json"),
        (("--faults", "serving:leak", "--loads", "churn"), "not among the loads"),
        (("--faults", "serving:nonsense"), "LOAD:WHAT"),
    ],
)
def test_wrong_calls(capsys, arguments, told):
    assert refused(*arguments) == 2
    assert told in capsys.readouterr().err


def test_other_files_are_not_replotted(tmp_path):
    path = tmp_path / "other.json"
    for text in ("[]", "{", '{"schema": "mlopt.demo/1"}', json.dumps({"schema": SCHEMA})):
        path.write_text(text, encoding="utf-8")
        assert refused("--replot", str(path)) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_report_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    assert soak("--seconds", "2", "--report", str(tmp_path / "new")).returncode == 2
