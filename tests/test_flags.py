"""mlopt.flags: scoped to a context, from the environment, shown."""

import asyncio
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import mlopt


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def strassen():
    return mlopt.current_flags()["strassen"]


def test_nests_and_restores():
    assert not strassen()
    with mlopt.flags(strassen=True):
        assert strassen()
        with mlopt.flags(strassen=False):
            assert not strassen()
            with mlopt.flags():
                assert not strassen()
        assert strassen()
        with mlopt.flags():  # what is not named stays
            assert strassen()
        with pytest.raises(RuntimeError, match="inside"), mlopt.flags(strassen=False):
            raise RuntimeError("inside")
        assert strassen()
    assert not strassen()


def test_one_object_entered_twice():
    flag = mlopt.flags(strassen=True)
    with flag, flag:
        assert strassen()
    assert not strassen()


def test_decorates():
    @mlopt.flags(strassen=True)
    def inside():
        return strassen()

    assert inside()
    assert inside()
    assert not strassen()


def test_numpy_bool():
    with mlopt.flags(strassen=np.True_):
        assert strassen() is True


@pytest.mark.parametrize("value", [1, 0, None, "yes", 1.0])
def test_a_value_that_is_no_bool(value):
    with pytest.raises(TypeError, match="strassen must be True or False, not "):
        mlopt.flags(strassen=value)


def test_unknown_flag_names_the_known_ones():
    with pytest.raises(ValueError, match="'winograd' is not a flag; known: strassen"):
        mlopt.flags(winograd=True)


def test_scoped_to_the_thread():
    seen = {}
    with mlopt.flags(strassen=True):
        thread = threading.Thread(target=lambda: seen.update(on=strassen()))
        thread.start()
        thread.join()
    assert seen == {"on": False}


def test_scoped_to_the_asyncio_task():
    async def forced(value, log):
        with mlopt.flags(strassen=value):
            for _ in range(5):
                await asyncio.sleep(0)
                log.append(strassen() is value)

    async def main():
        log = []
        await asyncio.gather(*[forced(value, log) for value in (True, False, True)])
        return log

    assert all(asyncio.run(main()))


def test_many_threads():
    wrong = []

    @mlopt.flags(strassen=True)
    def decorated():
        return strassen()

    def work(value):
        for _ in range(500):
            with mlopt.flags(strassen=value):
                if strassen() is not value or not decorated():
                    wrong.append(value)

    threads = [threading.Thread(target=work, args=(value,)) for value in (True, False) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not strassen()


@pytest.mark.parametrize("text", ["strassen", " strassen ", "strassen,", "strassen,strassen"])
def test_from_the_environment(text):
    code = """
import mlopt
assert mlopt.current_flags() == {"strassen": True}
with mlopt.flags(strassen=False):
    assert mlopt.current_flags() == {"strassen": False}
assert mlopt.runtime_info()["flags"] == {"strassen": True}
mlopt.show_runtime()
"""
    done = run(code, MLOPT_FLAGS=text)
    assert done.returncode == 0, done.stderr
    assert "strassen on" in done.stdout


@pytest.mark.parametrize("text", ["winograd", "strassen=1", "strassen,winograd", "no-strassen"])
def test_bad_flag_in_the_environment(text):
    done = run("import mlopt", MLOPT_FLAGS=text)
    assert done.returncode != 0
    assert f"ImportError: MLOPT_FLAGS={text!r}: " in done.stderr
    assert "is not a flag; known: strassen" in done.stderr


def test_empty_environment_sets_nothing():
    assert run("import mlopt; assert not any(mlopt.current_flags().values())", MLOPT_FLAGS="").returncode == 0


def test_shown(capsys):
    mlopt.show_runtime()
    assert "strassen off" in capsys.readouterr().out
    with mlopt.flags(strassen=True):
        mlopt.show_runtime()
    assert "strassen on" in capsys.readouterr().out
