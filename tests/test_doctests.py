"""Every example runs: of the docstrings of all public names, of the documentation's pages, of the README."""

import doctest
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from public import MODULES, public_members, public_objects

import mlopt

ROOT = Path(__file__).parents[1]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
PAGES = [path for path in sorted(ROOT.glob("docs/**/*.rst")) if ">>>" in path.read_text("utf-8")]
PROGRAMS = sorted(ROOT.glob("docs/examples/*.py"))


def docstrings():
    for name in MODULES:
        yield name, __import__(name, fromlist=["__doc__"]).__doc__
    for name, item in public_objects():
        yield name, item.__doc__
        if isinstance(item, type):
            for member, value in public_members(item):
                yield f"{name}.{member}", value.__doc__


def run(text, name, namespace=None):
    """Runs the examples of a text; the report of what failed."""
    examples = doctest.DocTestParser().get_doctest(text, namespace or {}, name, name, 0)
    failures = []
    doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(examples, out=failures.append)
    return "".join(failures)


@pytest.mark.parametrize(
    ("name", "text"), [pytest.param(name, text, id=name) for name, text in docstrings() if text and ">>>" in text]
)
def test_docstring(name, text):
    if name.startswith("mlopt.demo") or "sample_bars" in text:
        pytest.importorskip("arch", exc_type=ImportError)
    if "from torch" in text:
        pytest.importorskip("torch")
    if ".serve()" in text:
        pytest.importorskip("prometheus_client")
    if "nn.save(" in text or "model.safetensors" in text:
        pytest.importorskip("safetensors")
    threads = mlopt.get_num_threads()
    failures = run(text, name)
    assert mlopt.get_num_threads() == threads
    assert not failures, failures


@pytest.mark.parametrize(
    "page", [page for page in PAGES if ">>>" in page.read_text("utf-8")], ids=lambda page: page.stem
)
def test_page(page):
    if page.stem == "metrics":
        pytest.importorskip("prometheus_client")
    if page.stem in ("exchange", "quantization"):
        pytest.importorskip("safetensors")
    failures = run(page.read_text("utf-8"), page.name, {"np": np, "mlopt": mlopt})
    assert not failures, failures


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_program(program, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # for what it writes
    runpy.run_path(str(program), run_name="__main__")
    assert capsys.readouterr().out.strip()


def test_readme():
    readme = (ROOT / "README.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    namespace = {}
    exec(compile(code, "README.md", "exec"), namespace)
    closes = 100 + np.sin(np.arange(300.0))
    for close in closes:
        out = namespace["on_bar"](close, close + 1, close - 1, close, 1000.0)
    assert np.isfinite(out).all()
    assert readme.count("<!-- targets:begin -->") == readme.count("<!-- targets:end -->") == 1
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", readme):
        assert (ROOT / target).exists(), target
