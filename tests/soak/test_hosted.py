"""A load's process, and what the supervisor makes of one that stands still or dies."""

import os
import select
import signal
import time

import numpy as np
import pytest

pytest.importorskip("arch")

from mlopt.soak import hosted
from mlopt.soak.loads import LOADS, load_class
from mlopt.soak.loads.base import Setting
from mlopt.soak.processes import descendants, descriptors, look_at, parents
from mlopt.soak.stream import day_shapes

pytestmark = [pytest.mark.no_emulator, pytest.mark.no_sanitizer]


@pytest.fixture
def host(tmp_path):
    np.save(tmp_path / "shapes.npy", day_shapes())
    hosts = []

    def start(name, fault=""):
        hosts.append(hosted.Hosted(name, Setting(name, 3, str(tmp_path), fault, 0.1)))
        return hosts[-1]

    yield start
    for one in hosts:
        one.kill()
        one.close(time.monotonic() + 20)


def listen(host, until, seconds=60):
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        if not host.ended:
            select.select([host], [], [], 0.1)
            host.read()


def test_life_of_a_load(host):
    churn = host("churn")
    listen(churn, lambda: churn.counters.get("records", 0) > 1000)
    assert churn.watch()
    assert look_at(churn.pid).resident > 10e6
    churn.tell_to_stop()
    listen(churn, lambda: churn.ended)
    result = churn.close(time.monotonic() + 20)
    assert result.counters["records"] > 1000
    assert (result.counters["errors"], result.counters["leftovers"], result.problems) == (0, 0, [])


def test_load_that_stands_still_is_asked_where_it_is(host, monkeypatch):
    monkeypatch.setattr(hosted, "STALL_SECONDS", 2.0)
    serving = host("serving", "stall")
    listen(serving, lambda: serving.started)
    listen(serving, lambda: not serving.watch())
    assert not serving.watch()
    result = serving.close(time.monotonic() + 20)
    assert result.counters["stalls"] == 1
    assert result.counters.get("errors", 0) == 0
    assert "records stood still" in result.problems[0]
    assert "in _serve" in result.problems[0]


def test_load_that_dies_is_an_error(host):
    churn = host("churn")
    listen(churn, lambda: churn.counters.get("records", 0) > 0)
    os.kill(churn.pid, signal.SIGKILL)
    listen(churn, lambda: churn.ended)
    result = churn.close(time.monotonic() + 20)
    assert result.counters["errors"] == 1
    assert result.counters["records"] > 0
    assert f"ended with {-signal.SIGKILL}" in result.problems[0]


def test_load_ends_with_its_supervisor(host):
    churn = host("churn")
    listen(churn, lambda: churn.started)
    churn._in.close()
    listen(churn, lambda: churn.ended)


def test_processes_of_this_one():
    parent_of = parents()
    assert os.getpid() in descendants(os.getppid(), parent_of)
    assert look_at(os.getpid()).parent == os.getppid()
    assert look_at(2**22 + 1) is None
    if os.path.isdir("/proc/self/fd"):
        before = descriptors().get("pipe", 0)
        ends = os.pipe()
        assert descriptors()["pipe"] == before + 2
        for end in ends:
            os.close(end)


@pytest.mark.parametrize("name", LOADS)
def test_every_load_has_a_title(name):
    load = load_class(name)
    assert load.name == name
    assert load.title


def test_unknown_load():
    with pytest.raises(ValueError, match="'nonsense' is not a load; one of: processes"):
        load_class("nonsense")
