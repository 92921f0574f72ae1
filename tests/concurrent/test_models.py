"""The lock-free structures hold in every execution; that their orderings are needed is seen when they are weakened.

A model is a transcription of the C code.  Each is explored as it is; then each ordering is weakened, and each
step left out, one at a time, and an execution that breaks must be found.  Where none is, the model says why.
"""

import re
from pathlib import Path

import pytest
from memory_model.explorer import explore
from memory_model.models import array_pool, map, ring, ring_overwrite, slab
from memory_model.weakening import Orders

pytestmark = [pytest.mark.no_emulator, pytest.mark.no_sanitizer]  # none of the code is run

MODELS = [slab, array_pool, ring, ring_overwrite, map]
LONG = [ring, ring_overwrite, map]
ROOT = Path(__file__).parents[2]


def names(value):
    """slab, or slab-recycling."""
    if not hasattr(value, "__name__"):
        return None
    module = getattr(value, "__module__", "").rpartition(".")[2]
    name = value.__name__.rpartition(".")[2]
    return f"{module}-{name}" if module else name


def possible(model):
    """Every way in which one ordering of a model can be weaker, or one step be left out."""
    found = {}
    for scenario in model.SCENARIOS:
        orders = Orders()
        assert explore(scenario(orders)).violation is None
        found.update(orders.possible)
    return list(found)


def breaks(model, *weakened):
    return any(explore(scenario(Orders(*weakened))).violation for scenario in model.SCENARIOS)


@pytest.mark.parametrize(
    "scenario",
    [scenario for model in MODELS for scenario in model.SCENARIOS]
    + [pytest.param(scenario, marks=pytest.mark.slow) for model in MODELS for scenario in model.LARGE],
    ids=names,
)
def test_holds_in_every_execution(scenario):
    result = explore(scenario(Orders()))
    assert result.violation is None, f"\n{result.violation}"
    assert result.states > 50  # or nothing happened


@pytest.mark.parametrize(
    "model",
    [pytest.param(model, marks=pytest.mark.slow) if model in LONG else model for model in MODELS],
    ids=names,
)
def test_every_ordering_is_needed_or_explained(model):
    unnoticed = {weakened for weakened in possible(model) if not breaks(model, weakened)}
    assert unnoticed == set(model.STRONGER_THAN_NEEDED) | getattr(model, "NOT_SHOWN", set())


@pytest.mark.parametrize(
    ("model", "weakened"), [(model, together) for model in MODELS for together in model.TOGETHER], ids=names
)
def test_of_two_orderings_one_is_needed(model, weakened):
    assert breaks(model, *weakened)


def orders_of(source, function):
    """The atomic operations of a C function, in the order of the text."""
    definition = re.search(rf"^[^\n#/ ].*\b{function}\([^;{{]*\)\n\{{\n(.*?)^\}}", source, re.DOTALL | re.MULTILINE)
    if definition is None:
        definition = re.search(rf"^.*\b{function}\([^;{{]*\)\s*\{{(.*)\}}$", source, re.MULTILINE)
    assert definition, f"{function} is not there any more"
    operations = re.findall(r"atomic_(\w+)_explicit\([^;]*?((?:\s*,?\s*memory_order_\w+)+)\)", definition[1])
    return "; ".join(
        " ".join([operation, *re.findall(r"memory_order_(\w+)", orders)]) for operation, orders in operations
    )


@pytest.mark.parametrize(
    ("model", "function"), [(model, function) for model in MODELS for function in model.C_CODE], ids=names
)
def test_the_model_is_that_of_the_code(model, function):
    """A change of the C code has to be made in the model, too."""
    sources = "".join((ROOT / path).read_text() for path in model.SOURCES)
    assert orders_of(sources, function) == model.C_CODE[function]
