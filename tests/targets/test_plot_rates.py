"""The figures: drawn the same from the same rates, and those of the documentation from its rates."""

import importlib.util
from pathlib import Path

import pytest

from mlopt.targets.rates import Rate, Rates
from mlopt.targets.shapes import SHAPES

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "plot_rates.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the tools are not part of this distribution")


@pytest.fixture(scope="module")
def plot_rates():
    """The script, as a module."""
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("plot_rates", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made_rate(id, i, methods=("gemm",)):
    ours = dict.fromkeys(methods, (0.001, 0.5 + 0.01 * i))
    ratios = {method: {"NumPy 2": (0.9 + 0.01 * i, 0.9, 1.1), "Other 1": (1.2, 1.1, 1.3)} for method in methods}
    return Rate(id, 1e6, "FMA", 1e11, ours, {"NumPy 2": (1e-3, 0.4), "Other 1": (1e-3, 0.3)}, ratios, "somewhere")


def test_figures(plot_rates, tmp_path):
    rates = Rates({})
    for dtype in ("float32", "float64"):
        ids = [(f"square/{dtype}/{n}", ("gemm", "strassen", "auto") if n > 100 else ("gemm",)) for n in (8, 64, 512)]
        ids += [(f"shapes/{dtype}/{shape}", ("gemm",)) for shape in SHAPES[:20]]
        ids += [
            (f"vector/{dtype}/{name} {size}", ("kernel", "python")) for name in ("dot", "exp") for size in ("1K", "1M")
        ]
        rates.rates |= {id: made_rate(id, i, methods) for i, (id, methods) in enumerate(ids)}
    file = tmp_path / "rates.json"
    file.write_text(rates.to_json(), "utf-8")
    first = plot_rates.draw(file, tmp_path / "first")
    assert sorted(path.stem for path in first) == [
        "rates_shapes", "rates_square_float32", "rates_square_float64", "rates_vector_float32", "rates_vector_float64",
    ]  # fmt: skip
    for path, again in zip(first, plot_rates.draw(file, tmp_path / "again"), strict=True):
        assert path.read_bytes() == again.read_bytes()
        assert path.stat().st_size < 200_000


def test_figures_of_the_documentation_show_its_rates(plot_rates):
    file = ROOT / "docs" / "rates.json"
    if not file.exists():
        pytest.skip("no rates are kept")
    text = file.read_text("utf-8")
    assert Rates.from_json(text).to_json() == text
    figures = sorted((ROOT / "docs" / "figures").glob("rates_*.svg"))
    page = (ROOT / "docs" / "rates.rst").read_text("utf-8")
    assert all(f"figures/{figure.name}" in page for figure in figures)
    assert page.count("figures/rates_") == len(figures)
    for figure in figures:
        assert plot_rates.digest(text) in figure.read_text("utf-8"), "drawn from other rates: tools/plot_rates.py"
