"""The table of targets: complete, and honest where nothing was measured."""

import pytest

from mlopt.targets import TARGETS, Options, Row, find, peers, run
from mlopt.targets.contest import Contest, NotHere
from mlopt.targets.definitions import Target, lower
from mlopt.targets.measure import Spread
from mlopt.targets.result import ABSENT, MEASURED, MET, MISSED, UNAVAILABLE, UNKNOWN, Goal, judge

# Every id that the plan states, in its order.
IDS = [
    "feature_extraction", "matmul_1024", "matmul_1024_f32", "matmul_sizes", "matmul_shapes", "matmul_small",
    "matmul_cores", "training_iteration", "training_iteration_bf16", "training_iteration_mlp", "training_step_mlp",
    "fit_digits", "gradient", "inference", "inference_shapes", "inference_int8", "allocations", "cache_hit_rate",
    "branch_prediction", "ipc", "cpu_utilisation",
    "strassen_4096", "feature_symbols", "feature_history", "svd_512", "svd_dense", "svd_sparse", "sparse_vs_dense",
    "sparse_sizes", "sparse_real", "vector_ops", "int8_gemm", "int8_sizes", "pipeline_throughput", "pools", "spsc",
    "counter_increment", "map_read", "overall", "gpu_parity", "pgo",
    "soak",
]  # fmt: skip
MEASURED_NOW = {
    "feature_extraction", "matmul_1024", "matmul_1024_f32", "matmul_sizes", "matmul_shapes", "matmul_small",
    "matmul_cores", "training_iteration", "training_iteration_bf16", "training_iteration_mlp", "training_step_mlp",
    "fit_digits", "gradient", "inference", "inference_shapes", "inference_int8", "allocations", "cpu_utilisation",
    "strassen_4096", "vector_ops", "feature_symbols", "feature_history", "overall", "int8_gemm", "int8_sizes",
    "sparse_vs_dense", "sparse_sizes", "sparse_real", "soak", "svd_512", "svd_dense", "svd_sparse",
    "counter_increment", "pipeline_throughput", "map_read", "spsc", "pools",
}  # fmt: skip


def test_every_stated_target_has_a_row():
    assert [target.id for target in TARGETS] == IDS
    assert {target.id for target in TARGETS if target.measured_by} == MEASURED_NOW


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.id)
def test_row_is_whole(target):
    assert target.title
    assert target.work
    assert target.part in ("hot path", "algorithms")
    assert all(goal.kind in ("stated", "goal", "stretch") for goal in target.goals)
    if target.measured_by:
        assert callable(target.measurer())
    else:
        assert target.run().verdict() == ABSENT


def test_unknown_id_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'matmul_1023' is not a target; one of: feature_extraction, "):
        find("matmul_1023")
    with pytest.raises(ValueError, match="is not a target"):
        list(run(["nonsense"]))


def row_of(goals, **fields):
    row = Row("x", "x", "x", "hot path", status=MEASURED, **fields)
    row.judgements = [judge(goal, row) for goal in goals]
    return row


def test_no_row_passes_without_measurement():
    goals = (lower("stated", "< 1", 1.0), lower("goal", "< 2", 2.0, "other"))
    assert row_of(goals).verdict() == UNKNOWN
    assert row_of(goals, metrics={"figure": 0.5}).verdict() == UNKNOWN
    assert row_of(goals, metrics={"figure": 0.5, "other": float("nan")}).verdict() == UNKNOWN
    assert row_of(goals, metrics={"figure": 0.5, "other": 1.0}).verdict() == MET
    assert row_of(goals, metrics={"figure": 1.5}).verdict() == MISSED
    assert row_of((), metrics={"figure": 1.5}).verdict() == UNKNOWN
    assert row_of(goals, metrics={"figure": 0.5, "other": 1.0}, provisional="not whole").verdict() != MET
    failed = row_of(goals, metrics={"figure": 0.5, "other": 1.0})
    failed.status = UNAVAILABLE
    assert failed.verdict() == UNAVAILABLE


def test_absolute_goals_are_scaled_by_the_limit():
    goal = Goal("goal", "<= 1", "figure", 1.0, "lower", "FMA float32")
    slower = row_of((goal,), metrics={"figure": 1.5}, scales={"FMA float32": 0.5}).judgements[0]
    assert (slower.verdict, slower.unscaled) == (MET, MISSED)
    faster = row_of((goal,), metrics={"figure": 0.8}, scales={"FMA float32": 2.0}).judgements[0]
    assert (faster.verdict, faster.unscaled) == (MISSED, MET)
    assert row_of((goal,), metrics={"figure": 0.1}).verdict() == UNKNOWN  # the limit was not measured
    rate = Goal("goal", ">= 4", "rate", 4.0, "higher", "FMA float32")
    assert judge(rate, row_of((), metrics={"rate": 3.0}, scales={"FMA float32": 0.5})).verdict == MET


def failing_target(monkeypatch, error):
    def measure(row, options):
        row.status = MEASURED
        row.metrics["figure"] = 0.0
        raise error

    monkeypatch.setattr(Target, "measurer", lambda self: measure)
    return Target("x", "x", "x", "hot path", (lower("goal", "< 1", 1.0),), "somewhere")


@pytest.mark.parametrize("error", [NotHere("it is not here"), ZeroDivisionError("boom")])
def test_failure_is_a_row_that_says_what_failed(monkeypatch, error):
    row = failing_target(monkeypatch, error).run(Options(peers=False))
    assert str(error) in row.reason
    assert row.verdict() == UNAVAILABLE
    assert row.judgements[0].verdict == UNKNOWN


def test_lamed_peer_is_noted(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    row = failing_target(monkeypatch, NotHere("x")).run(Options(peers=False))
    assert any("OPENBLAS_CORETYPE=Prescott" in note for note in row.notes)


def test_contest_fills_a_row():
    contest = Contest(lambda n: n * 1e-3, lambda n: n * 1e-1, {"one": lambda n: n * 2e-3, "two": lambda n: n * 3e-3})
    row = Row("x", "x", "x", "hot path")
    contest.fill(row, 0.05)
    assert row.figure == Spread(*[pytest.approx(1e-3)] * 3, row.figure.rounds)
    assert row.metrics["vs_baseline"] == pytest.approx(100)
    assert row.best_peer.name == "one"
    assert row.metrics["vs_peer"] == pytest.approx(2)


def test_fair_environment(monkeypatch):
    for name in (*peers.LAMING_VARIABLES, "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    assert peers.fair_environment(amx=False) is None
    assert peers.fair_environment(amx=True)["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_BF16"
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "1")
    assert "OPENBLAS_L2_SIZE" not in peers.fair_environment(amx=False)


def test_unknown_peer_is_refused():
    with pytest.raises(ValueError, match="is not a peer"):
        peers.find("cupy")


def test_best_peer_of_many_products():
    from mlopt.targets.rates import Rate
    from mlopt.targets.rows.matmul import LINES, sum_up

    rates = [
        Rate(f"square/float64/{n}", 1.0, "x", 1.0, {"gemm": (1.0, 0.9)}, {}, {"gemm": {"a": (n / 10, 0, 0)}})
        for n in range(1, LINES + 3)
    ]
    row = Row("x", "x", "x", "hot path")
    sum_up(row, rates)
    assert (row.status, row.metrics["worst_vs_peer"]) == (MEASURED, 0.1)
    assert row.metrics["median_vs_peer"] == pytest.approx((LINES + 3) / 20)
    assert [line["product"] for line in row.details] == [str(n) for n in range(1, LINES + 1)]
