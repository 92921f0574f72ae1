"""The whole job on a few bars."""

import json

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("rich")

import mlopt.demo.training
from mlopt.cli import main
from mlopt.demo import checks
from mlopt.demo.job import BarsError, _stream, run_demo, stated
from mlopt.features import Bars, FeatureExtractor, Scaler


def make_bars(count, seed=1):
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    open_ = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(open_, close) * 1.004, np.minimum(open_, close) * 0.996
    return Bars(open_, high, low, close, rng.uniform(1e6, 2e6, count))


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "bars.csv"
    rows = (",".join(map(repr, bar)) for bar in make_bars(600))
    path.write_text("Open,High,Low,Close,Volume\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture(autouse=True)
def few_epochs(monkeypatch):
    monkeypatch.setattr(mlopt.demo.training, "EPOCHS", 3)


def without_times(values):
    """What has to be the same in every run: everything but the timings."""
    timed = {"stages", "cold", "seconds", "clock_nanoseconds"}
    return {name: value for name, value in values.items() if name not in timed}


def test_command_end_to_end(csv, tmp_path, capsys):
    report = tmp_path / "report"
    arguments = ["demo", "--bars", str(csv), "--report", str(report), "--passes", "2", "--check-every", "25"]
    assert main([*arguments, "--no-progress"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for words in ("features", "gradient", "total", "median", "p99.9", "walk-forward", "coin", "index.html"):
        assert words in out
    values = json.loads((report / "report.json").read_text(encoding="utf-8"))
    bars = values["bars"]
    assert (bars["source"], bars["count"]) == ("bars.csv", 600)
    assert bars["warm_up"] + bars["trained"] + bars["served"] == 600
    stages = {stage["name"]: stage for stage in values["stages"]}
    assert set(stages) == {"features", "scale", "inference", "gradient", "update", "total"}
    for stage in stages.values():
        assert stage["latency"]["count"] + values["cold"]["count"] == 2 * bars["served"]
        assert 0 < stage["figures"]["median"] <= stage["figures"]["p999"] <= stage["figures"]["max"]
        assert len(stage["ratio"]) == 3
    assert stages["features"]["target"] == 5000
    assert stages["total"]["ratio_target"] == 100
    assert {check["name"] for check in values["checks"]} == {"features", "inference", "gradient"}
    assert all(check["checks"] == 2 * (bars["served"] // 25) for check in values["checks"])
    assert values["passed"]
    assert values["served"]["count"] == bars["served"] - 1  # the last one's direction is not known
    assert (report / "index.html").stat().st_size > 50_000


def test_same_seed_same_result():
    first, second, other = (run_demo(make_bars(600), passes=2, seed=seed).to_dict() for seed in (3, 3, 4))
    assert without_times(first) == without_times(second)
    assert first["final_losses"] != other["final_losses"]


def test_a_failed_check_is_told_and_exits_with_one(csv, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(checks.TOLERANCES, "gradient", -1.0)
    arguments = ["--bars", str(csv), "--report", str(tmp_path), "--passes", "1", "--check-every", "50", "--no-progress"]
    assert main(["demo", *arguments]) == 1
    out, err = capsys.readouterr()
    assert "FAILED" in out
    assert "check against the reference kernels failed" in err
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["passed"] is False


def test_inputs_know_nothing_of_later_bars():
    rows = list(make_bars(500))

    def stream(bars):
        extractor = FeatureExtractor()
        return _stream(bars, extractor.lookback, extractor, Scaler(len(extractor.names)), lambda *_: None)

    np.testing.assert_array_equal(stream(rows)[:400], stream(rows[:400]))


def test_folds_know_nothing_of_later_samples():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(400, 8)).astype(np.float32)
    ups = (rng.uniform(size=(400, 1)) > 0.5).astype(np.float32)
    dates = [str(i) for i in range(400)]

    def fold(ups):
        _, training, _ = mlopt.demo.training.train(inputs, ups, dates, 0, 400, 3, 0, lambda *_: None)
        return training[0]

    changed = ups.copy()
    changed[fold(ups).fold.test_start :] = 0.25
    assert fold(changed).losses == fold(ups).losses


def test_too_few_bars():
    with pytest.raises(BarsError, match="300 bars are too few"):
        run_demo(make_bars(300))


def test_an_impossible_bar_is_named():
    bars = make_bars(600)
    bars.high[333] = 1.0
    with pytest.raises(BarsError, match="bar 333: high must not be below low"):
        run_demo(bars)


def test_progress_is_told():
    seen = {}
    run_demo(make_bars(600), passes=1, progress=lambda part, done, total: seen.update({part: (done, total)}))
    assert set(seen) == {"features", "training", "serving"}
    assert all(done == total for done, total in seen.values())


def test_stated_targets_are_those_of_the_table():
    assert stated("gradient") == (2000, None)
    assert stated("total") == (None, 100)
    assert stated("scale") == (None, None)
