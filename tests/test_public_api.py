"""The public names: complete, documented, with stubs that say the same as the modules."""

import ast
import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from public import MODULES, public_members, public_objects

import mlopt

ROOT = Path(__file__).parents[1]
OBJECTS = [pytest.param(name, item, id=name) for name, item in public_objects()]
MEMBERS = [
    pytest.param(f"{name}.{member}", value, id=f"{name}.{member}")
    for name, item in public_objects()
    if isinstance(item, type)
    for member, value in public_members(item)
    if callable(value) or inspect.isdatadescriptor(value)
]
SOURCES = sorted(ROOT.glob("mlopt/**/*.pyx"))
# what reads better without an example: it would need a file, a process or a minute, or only holds values
WITHOUT_EXAMPLE = {"mlopt.features.sample_bars", "mlopt.targets.Options", "mlopt.targets.Row", "mlopt.targets.Target",
                   "mlopt.targets.run", "mlopt.verify.Verdict", "mlopt.nn.LayerError",
                   "mlopt.nn.QuantizationReport"}  # fmt: skip


# attributes are described in their class's docstring, with its parameters
DOCUMENTED_BY_CLASS = {
    name: re.findall(r"\w+", " ".join(re.findall(r"^ *([a-z_, ]+) : ", inspect.getdoc(item) or "", re.MULTILINE)))
    for name, item in public_objects()
    if isinstance(item, type)
}


@pytest.mark.parametrize("module", MODULES)
def test_all_is_sorted_and_there(module):
    module = importlib.import_module(module)
    names = module.__all__
    assert len(set(names)) == len(names)
    assert sorted(names) in (sorted(names), names)
    assert [name for name in names if not hasattr(module, name)] == []
    assert module.__doc__


def test_all_of_mlopt():
    assert mlopt.__all__ == sorted(mlopt.__all__)
    imported = {name for name in vars(mlopt) if not name.startswith("_")}
    # importing mlopt.demo binds "demo": submodules may be there beyond what is exported
    unexported = {name for name in imported - set(mlopt.__all__) if not inspect.ismodule(getattr(mlopt, name))}
    assert unexported == set()
    assert {"sum", "min", "max"} <= set(mlopt.__all__)


def signature_of(item):
    try:
        return inspect.signature(item)
    except (ValueError, TypeError):
        return None


def sections(text):
    return set(re.findall(r"^ *([A-Z][a-z ]+)\n *-{4,}$", text, re.MULTILINE))


@pytest.mark.parametrize(("name", "item"), OBJECTS)
def test_docstring(name, item):
    text = inspect.getdoc(item) or ""
    assert text.strip(), "no docstring"
    found = sections(text)
    signature = signature_of(item)
    own = [p for p in signature.parameters if p not in ("args", "kwargs", "self")] if signature else []
    exempt = isinstance(item, np.ufunc) or dataclasses.is_dataclass(item) or "parameters as for" in text.lower()
    if own and not exempt:
        assert found & {"Parameters", "Attributes"}, f"parameters {own} are not described"
    if name not in WITHOUT_EXAMPLE:
        assert ">>>" in text, "no example"


@pytest.mark.parametrize(("name", "item"), MEMBERS)
def test_member_docstring(name, item):
    owner = name.rpartition(".")[0]
    if name.rpartition(".")[2] in (DOCUMENTED_BY_CLASS.get(owner) or ()):
        return
    assert (inspect.getdoc(item) or "").strip(), "no docstring"


def test_every_public_name_is_in_the_reference():
    pages = "\n".join(page.read_text("utf-8") for page in sorted(ROOT.glob("docs/api/*.rst")))
    listed = set(re.findall(r"^   ([A-Za-z_]\w*)$", pages, re.MULTILINE)) | set(
        re.findall(r":: (\w+)$", pages, re.MULTILINE)
    )
    missing = [name for name, _ in public_objects() if name.rpartition(".")[2] not in listed]
    assert missing == []


def stub_names(path):
    """Public names that a stub defines."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_stub(source):
    stub = source.with_suffix(".pyi")
    assert stub.exists(), "no stub"
    module = importlib.import_module(".".join(source.relative_to(ROOT).with_suffix("").parts))
    own = {name for name in getattr(module, "__all__", ()) if getattr(module, name).__class__.__name__ != "module"}
    assert own - stub_names(stub) == set(), "in the module, not in the stub"
    for node in ast.parse(stub.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            described = {m.name for m in node.body if isinstance(m, ast.FunctionDef)} | {
                m.target.id for m in node.body if isinstance(m, ast.AnnAssign) and isinstance(m.target, ast.Name)
            }
            cls = getattr(module, node.name)
            there = {name for name in vars(cls) if not name.startswith("_") and name != "data"}
            assert there - described == set(), f"members of {node.name} that the stub lacks"
            assert {name for name in described if not hasattr(cls, name)} == set(), f"only in the stub of {node.name}"
