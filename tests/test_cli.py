"""The command line as a user calls it: in a process of its own."""

import os
import subprocess
import sys

import pytest

import mlopt
from mlopt._kernels.core import tier_report


def call(*arguments, **environment):
    process = subprocess.run(
        [sys.executable, "-m", "mlopt", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "MLOPT_MAX_ISA"} | environment,
    )
    return process.returncode, process.stdout, process.stderr


def refused(*arguments, **environment):
    code, out, err = call(*arguments, **environment)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    return err


def test_help_names_every_command():
    code, out, err = call("--help")
    assert (code, err) == (0, "")
    for command in ("demo", "targets", "rates", "info", "quantize", "soak", "verify"):
        assert f"\n    {command} " in out


@pytest.mark.parametrize("command", ["demo", "rates", "info", "quantize", "soak", "verify"])
def test_help_of_a_command(command):
    code, out, err = call(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: mlopt {command}")


def test_version():
    assert call("--version") == (0, f"mlopt {mlopt.__version__}\n", "")


def test_entry_point_of_the_package():
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="mlopt")
    assert script.value == "mlopt.cli:main"


def test_unknown_command():
    assert "'nosuch'" in refused("nosuch")


def test_no_command():
    assert "command" in refused()


def test_commands_are_loaded_when_they_are_used():
    check = (
        "import contextlib, sys, mlopt.cli\n"
        "with contextlib.suppress(SystemExit):\n"
        "    mlopt.cli.main(['--version'])\n"
        "assert not {'rich', 'matplotlib', 'pandas'} & set(sys.modules)\n"
    )
    process = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")


def test_unknown_tier_in_the_environment():
    code, _, err = call("--version", MLOPT_MAX_ISA="avx9000")
    assert code == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith("ImportError: MLOPT_MAX_ISA='avx9000' is not a tier")
    for tier in tier_report():
        assert tier["name"] in last


def test_verify():
    code, out, err = call("verify")
    assert (code, err) == (0, "")
    assert "0 failed" in out.splitlines()[-1]
    assert any(line.startswith("exp f32") for line in out.splitlines())


def test_verify_bad_argument():
    assert "--seed" in refused("verify", "--seed", "many")


@pytest.mark.parametrize("missing", ["rich", "matplotlib"])
def test_missing_extra_is_named(missing):
    hide = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "from mlopt.cli import main\n"
        "sys.exit(main(['demo', '--no-progress']))\n"
    )
    process = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (2, "")
    (line,) = process.stderr.splitlines()
    assert line.startswith('mlopt demo needs: pip install "mlopt[demo]"')
    assert missing in line


def test_a_fault_of_the_package_is_not_taken_for_a_missing_extra(monkeypatch):
    from mlopt.cli import COMMANDS, main

    monkeypatch.setitem(COMMANDS, "demo", COMMANDS["demo"]._replace(module="mlopt.no_such_module"))
    with pytest.raises(ModuleNotFoundError):
        main(["demo"])


def test_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m mlopt verify | head -n 1"
    process = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")


class TestDemoArguments:
    @pytest.mark.parametrize(
        ("option", "value"), [("--seed", "-1"), ("--seed", "x"), ("--passes", "0"), ("--check-every", "2.5")]
    )
    def test_bad_numbers(self, option, value):
        assert f"argument {option}: {value!r} is not a whole number" in refused("demo", option, value)

    def test_missing_file(self, tmp_path):
        err = refused("demo", "--bars", str(tmp_path / "absent.csv"))
        assert len(err.splitlines()) == 1
        assert "absent.csv" in err

    def test_malformed_csv_names_file_and_line(self, tmp_path):
        path = tmp_path / "bars.csv"
        path.write_text("open,high,low,close,volume\n1,2,0.5,1.5,100\n1,2,0.5,oops,100\n")
        err = refused("demo", "--bars", str(path), "--no-progress")
        assert len(err.splitlines()) == 1
        assert "bars.csv" in err
        assert "3" in err

    def test_empty_csv(self, tmp_path):
        path = tmp_path / "nothing.csv"
        path.write_text("")
        assert "nothing.csv" in refused("demo", "--bars", str(path))

    def test_too_few_bars(self, tmp_path):
        path = tmp_path / "few.csv"
        path.write_text("open,high,low,close,volume\n" + "1,2,0.5,1.5,100\n" * 50)
        err = refused("demo", "--bars", str(path), "--no-progress", "--report", str(tmp_path))
        assert "50 bars" in err
        assert len(err.splitlines()) == 1


def test_rates_lists_and_refuses():
    code, out, err = call("rates", "--list", "--only", "square/float64")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "square/float64/4096"
    assert "'nothing' matches nothing" in refused("rates", "--only", "nothing")
    assert "--resume needs --json" in refused("rates", "--resume")
    assert "MLOPT_PEER_CBLAS: /nothing.so" in refused("rates", "--only", "small", MLOPT_PEER_CBLAS="/nothing.so")
