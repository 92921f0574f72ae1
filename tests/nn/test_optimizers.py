"""The optimisers' parameter objects."""

import copy
import pickle

import pytest

from mlopt.nn import MLP, SGD, AdamW


def test_defaults():
    assert repr(SGD()) == "SGD(lr=0.01, momentum=0.0, weight_decay=0.0, nesterov=False, clip_norm=None)"
    assert repr(AdamW()) == "AdamW(lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, clip_norm=None)"


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (SGD, {"lr": -1}), (SGD, {"lr": float("nan")}), (SGD, {"lr": float("inf")}), (SGD, {"momentum": 1}),
        (SGD, {"momentum": -0.1}), (SGD, {"weight_decay": -1e-3}), (AdamW, {"lr": -1e-9}), (AdamW, {"eps": 0}),
        (AdamW, {"eps": float("nan")}), (AdamW, {"weight_decay": float("nan")}), (AdamW, {"betas": (0.9,)}),
        (AdamW, {"betas": (0.9, 1.0)}), (AdamW, {"betas": (-0.1, 0.9)}), (AdamW, {"betas": (0.9, float("nan"))}),
        (AdamW, {"betas": 0.9}),
    ],
)  # fmt: skip
def test_bad_values_name_the_argument(kind, arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=name):
        kind(**arguments)
    good = kind()
    before = repr(good)
    with pytest.raises(ValueError, match=name):
        setattr(good, name, arguments[name])
    assert repr(good) == before


@pytest.mark.parametrize("value", ["0.1", None, 1j, True])
def test_bad_types_name_the_argument(value):
    with pytest.raises(TypeError, match="lr must be a real number"):
        SGD(lr=value)


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.9, 1e-4), AdamW(1e-4, (0.8, 0.99), 1e-6, 0.1)])
def test_equality_copy_pickle(optimizer):
    for other in (copy.copy(optimizer), copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert other == optimizer
        assert other is not optimizer
        other.lr = 0.5
        assert other != optimizer


def test_numbers_may_change_between_steps():
    model = MLP([3, 2], optimizer=SGD(lr=0.0), rng=0)
    before = model.weights[0].copy()
    model.train_step([1, 1, 1], [0, 0])
    assert (model.weights[0] == before).all()
    model.optimizer.lr = 0.1
    model.train_step([1, 1, 1], [0, 0])
    assert (model.weights[0] != before).all()
