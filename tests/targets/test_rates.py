"""The sweeps: every point has its contest, its line of JSON, its place in the summary."""

import pytest

from mlopt.targets import rates
from mlopt.targets.rates import KERNEL, SETS, Rate, Rates, chosen, measure, points, summaries
from mlopt.targets.shapes import SHAPES


def test_points():
    ids = [point.id for point in points()]
    assert len(ids) == len(set(ids))
    assert {id.split("/")[0] for id in ids} == set(SETS)
    for dtype in ("float32", "float64"):
        assert sum(id.startswith(f"shapes/{dtype}/") for id in ids) == len(SHAPES)
        assert f"square/{dtype}/4096" in ids
        assert f"vector/{dtype}/softmax 64M" in ids


def test_patterns():
    assert len(chosen(None)) == len(list(points()))
    assert [point.id for point in chosen(["small/float64"])] == [f"small/float64/{n}" for n in rates.SMALL]
    assert [point.id for point in chosen(["square/*/8", "square/float32/8"])] == [
        "square/float64/8",
        "square/float32/8",
    ]
    with pytest.raises(ValueError, match="'square/float16' matches nothing; ids are set/type/name, the sets: square"):
        chosen(["square/float16"])


@pytest.mark.no_emulator
@pytest.mark.parametrize(
    "id", ["square/float64/8", "small/float32/8", "shapes/float32/1×6×300 nt", "shapes/float64/3×5×7 nn",
           "vector/float32/dot 1K"],
)  # fmt: skip
def test_measure(id):
    (point,) = chosen([id])
    rate = measure(point, 0.01)
    assert rate.id == "/".join((rate.set, rate.dtype, rate.name)) == id
    assert rate.limit_rate > 0
    for seconds, share in (*rate.ours.values(), *rate.peers.values()):
        assert seconds > 0
        assert share > 0
    assert point.ours in rate.ours
    assert any(peer.startswith("NumPy") for peer in rate.peers)
    assert KERNEL not in rate.ratios
    for method in rate.ratios:
        assert rate.against_best(method)[1] > 0
    alone = measure(point, 0.01, with_peers=False, processor_time=True)
    assert alone.peers == alone.ratios == {}
    assert alone.against_best(point.ours) is None


def rate(id, **ratios):
    peers = dict.fromkeys(ratios, (1e-3, 0.5))
    spread = {name: (ratio, ratio, ratio) for name, ratio in ratios.items()}
    return Rate(id, 2e9, "FMA float64", 1e11, {"gemm": (1e-3, 0.9)}, peers, {"gemm": spread}, "somewhere")


def test_json():
    made = Rates({"cpu": "x"}, {"a/b/c": rate("a/b/c", one=1.23456), "a/b/d": rate("a/b/d")})
    text = made.to_json()
    assert text.count("\n") == 6
    back = Rates.from_json(text)
    assert back.rates["a/b/c"].ratios["gemm"]["one"] == (1.235, 1.235, 1.235)
    assert back.to_json() == text
    with pytest.raises(ValueError, match="format None"):
        Rates.from_json("{}")


def test_summaries():
    made = [rate("square/float64/1", one=1.5, two=1.2), rate("square/float64/2", one=0.9, two=1.1)]
    (summary,) = summaries(Rates({}, {r.id: r for r in made}))
    assert (summary.points, summary.behind, summary.worst, summary.worst_name) == (2, 1, 0.9, "2")
    assert summary.worst_peer == "one"
    assert summary.median == pytest.approx(1.05)
    text = "square, float64, gemm: median 1.05× the best peer, behind at 1 of 2, worst 0.90× (2, one)"
    assert str(summary) == text
