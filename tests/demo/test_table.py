import dataclasses
import io

import pytest

pytest.importorskip("rich")

from rich.console import Console

from mlopt.demo.table import LiveProgress, print_result


def shown(result):
    console = Console(file=io.StringIO(), width=120, no_color=True)
    print_result(result, console)
    return console.file.getvalue()


def test_table_has_every_stage_its_target_and_its_mark(result):
    lines = shown(result).splitlines()
    row = next(line for line in lines if "features " in line)
    assert "< 5.00 µs" in row
    assert "350×" in row
    assert "✓" in row
    assert "≥ 100×" in next(line for line in lines if "total " in line)
    assert "✗" in next(line for line in lines if "inference " in line)


def test_a_coin_flip_and_a_failed_check_are_said_in_words(result):
    text = shown(result)
    assert "a coin flip" in text
    assert "1 of 120 FAILED" in text
    assert "gradient: 1 of 60, by up to 0.003 where 0.0001 is allowed" in text
    sound = dataclasses.replace(result, checks=result.checks[:1])
    assert "60 against the reference kernels passed, the worst at 0.3% of its tolerance" in shown(sound)


@pytest.mark.parametrize("enabled", [True, False])
def test_progress(enabled):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with LiveProgress(console, enabled) as progress:
        for done in range(3):
            progress("training", done, 2)
    assert ("training" in console.file.getvalue()) == enabled
