"""Chains of layers, folded: the model computes what the layers compute one after the other."""

import math

import numpy as np
import pytest

from mlopt.nn import MLP, AdamW
from mlopt.nn.exchange import chain
from mlopt.nn.exchange.chain import Activation, Affine, Dense, Dropout, LayerNorm, build

EVERY_DROPOUT = "ignore:.*dropout is left out:UserWarning"
erf = np.vectorize(math.erf)
FUNCTIONS = {
    "identity": lambda z: z, "relu": lambda z: np.maximum(z, 0), "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)), "silu": lambda z: z / (1 + np.exp(-z)),
    "gelu": lambda z: z * (1 + erf(z / math.sqrt(2))) / 2,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
}  # fmt: skip


def computed(layers, x):
    """One layer after the other, as each is defined."""
    for layer in layers:
        match layer:
            case Dense():
                x = x @ layer.weights + layer.biases
            case Affine():
                x = x * layer.scale + layer.shift
            case LayerNorm():
                centred = x - x.mean(axis=-1, keepdims=True)
                x = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
                x = x * (1 if layer.gain is None else layer.gain) + (0 if layer.shift is None else layer.shift)
            case Activation():
                x = FUNCTIONS[layer.name](x)
    return x


class Maker:
    """Layers with random numbers."""

    def __init__(self, seed=0, dtype="float64"):
        self.rng = np.random.default_rng(seed)
        self.dtype = np.dtype(dtype)

    def normal(self, *shape):
        return (self.rng.standard_normal(shape) / 2).astype(self.dtype)

    def dense(self, inputs, outputs):
        return Dense("dense", self.normal(inputs, outputs), self.normal(outputs))

    def affine(self, *shape):
        return Affine("affine", self.normal(*shape) + 1.5, self.normal(*shape), self.dtype)

    def norm(self, width):
        return LayerNorm("norm", width, self.normal(width) + 1, self.normal(width))


def agrees(layers, inputs, eps=1e-13):
    model = build(layers)
    x = np.random.default_rng(9).standard_normal((7, inputs))
    expected = computed(layers, x)
    np.testing.assert_allclose(model.predict(x), expected, rtol=0, atol=eps * max(1, np.abs(expected).max()))
    return model


make = Maker()
relu, tanh, softmax = (Activation(name, name) for name in ("relu", "tanh", "softmax"))
PLACES = {
    "in front": ([make.affine(4), make.dense(4, 3)], [4, 3]),
    "behind": ([make.dense(4, 3), make.affine(3)], [4, 3]),
    "between": ([make.dense(4, 3), make.affine(3), make.dense(3, 2)], [4, 3, 2]),
    "behind an activation": ([make.dense(4, 3), relu, make.affine(3), make.dense(3, 2)], [4, 3, 2]),
    "behind the last activation": ([make.dense(4, 3), relu, make.affine(3)], [4, 3, 3]),
    "alone": ([make.affine(4)], [4, 4]),
    "alone, with an activation": ([make.affine(4), tanh], [4, 4]),
    "twice": ([make.affine(4), make.affine(4), make.dense(4, 3), make.affine(3), make.affine(3)], [4, 3]),
    "one number": ([make.affine(), make.dense(4, 3), relu, make.affine(), make.dense(3, 2)], [4, 3, 2]),
    "one number at the end": ([make.dense(4, 3), relu, make.affine()], [4, 3, 3]),
    "softmax behind": ([make.dense(4, 3), make.affine(3), softmax], [4, 3]),
    "activation first": ([relu, make.dense(4, 3)], [4, 4, 3]),
    "two activations": ([make.dense(4, 3), relu, tanh, make.dense(3, 2)], [4, 3, 3, 2]),
    "identity": ([make.dense(4, 3), Activation("i", "identity"), make.affine(3), make.dense(3, 2)], [4, 3, 2]),
}


@pytest.mark.parametrize("place", PLACES)
def test_affine_layers_disappear_in_dense_ones(place):
    layers, widths = PLACES[place]
    assert list(agrees(layers, 4).layers) == widths


NORMS = {
    "before the activation": ([make.dense(4, 3), make.norm(3), relu, make.dense(3, 2)], [4, 3, 2]),
    "with no activation": ([make.dense(4, 3), make.norm(3), make.dense(3, 2)], [4, 3, 2]),
    "at the end": ([make.dense(4, 3), make.norm(3), tanh], [4, 3, 3]),
    "at the very end": ([make.dense(4, 3), make.norm(3)], [4, 3, 3]),
    "behind the activation": ([make.dense(4, 3), relu, make.norm(3), make.dense(3, 2)], [4, 3, 3, 2]),
    "first": ([make.norm(4), make.dense(4, 3)], [4, 4, 3]),
    "twice": ([make.dense(4, 3), make.norm(3), make.norm(3), relu, make.dense(3, 2)], [4, 3, 3, 2]),
    "with scale behind": ([make.dense(4, 3), make.norm(3), make.affine(3), tanh, make.dense(3, 2)], [4, 3, 2]),
    "with scale in front": ([make.dense(4, 3), make.affine(3), make.norm(3), tanh, make.dense(3, 2)], [4, 3, 2]),
    "scale first": ([make.affine(4), make.norm(4), make.dense(4, 2)], [4, 4, 2]),
    "no parameters": ([make.dense(4, 3), LayerNorm("n", 3, None, None), relu, make.dense(3, 2)], [4, 3, 2]),
}


@pytest.mark.parametrize("place", NORMS)
def test_layer_normalisation(place):
    layers, widths = NORMS[place]
    assert list(agrees(layers, 4, 1e-12).layers) == widths


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.filterwarnings(EVERY_DROPOUT)
def test_any_order_of_layers(seed):
    make = Maker(seed)
    width = inputs = int(make.rng.integers(1, 9))
    layers = []
    for kind in make.rng.choice(["dense", "affine", "number", "norm", "activation", "dropout"], 12):
        match kind:
            case "dense":
                layers.append(make.dense(width, width := int(make.rng.integers(1, 9))))
            case "affine":
                layers.append(make.affine(width))
            case "number":
                layers.append(make.affine())
            case "norm":
                layers.append(make.norm(width))
            case "activation":
                layers.append(Activation("a", str(make.rng.choice(list(FUNCTIONS)[:-1]))))
            case "dropout":
                layers.append(Dropout("d", 0.25))
    layers.append(make.dense(width, 3))
    agrees(layers, inputs, 1e-11)


def test_float32_is_folded_in_float64():
    make = Maker(1, "float32")
    layers = [make.affine(50), make.dense(50, 40), make.affine(40), relu, make.dense(40, 3)]
    model = build(layers)
    assert model.dtype == np.float32
    first = layers[1].weights.astype(np.float64) * layers[0].scale[:, None] * layers[2].scale
    np.testing.assert_array_equal(model.weights[0], first.astype(np.float32))


def test_dense_layers_are_taken_over_bit_by_bit():
    layers = [make.dense(4, 3), relu, make.dense(3, 2)]
    model = build(layers)
    for layer, weights, biases in zip(layers[::2], model.weights, model.biases, strict=True):
        np.testing.assert_array_equal(weights, layer.weights)
        np.testing.assert_array_equal(biases, layer.biases)
    layers[0].weights[...] = 0
    assert (model.weights[0] != 0).any(), "a copy"


@pytest.mark.parametrize(
    ("last", "loss", "expected"),
    [
        ("softmax", None, "cross_entropy"), ("sigmoid", None, "binary_cross_entropy"), ("tanh", None, "mse"),
        ("identity", None, "mse"), ("identity", "cross_entropy", "cross_entropy"), ("sigmoid", "mse", "mse"),
        ("identity", "binary_cross_entropy", "binary_cross_entropy"),
    ],
)  # fmt: skip
def test_the_loss_follows_the_output(last, loss, expected):
    model = build([make.dense(4, 3), relu, make.dense(3, 2), Activation("last", last)], loss=loss)
    assert (model.output, model.loss_function) == (last, expected)


def test_options_of_the_new_model():
    model = build([make.dense(4, 3)], optimizer=AdamW(lr=0.5))
    assert model.optimizer.lr == 0.5
    with pytest.raises(ValueError, match="softmax"):
        build([make.dense(4, 3), softmax], loss="mse")


def test_activations_and_dropout_of_each_layer():
    layers = [make.dense(4, 3), relu, Dropout("d", 0.5), make.dense(3, 3), tanh, make.dense(3, 3), Dropout("d", 0.2),
              Dropout("d", 0.5), make.dense(3, 2)]  # fmt: skip
    arguments = agrees(layers, 4)._arguments()
    assert list(arguments["activation"]) == ["relu", "tanh", "identity"]
    assert list(arguments["dropout"]) == pytest.approx([0.5, 0, 0.6])


def test_dropout_before_the_activation():
    both = [make.dense(4, 3), Dropout("d", 0.5), relu, make.dense(3, 2)]
    assert agrees(both, 4).layers == (4, 3, 2), "relu commutes with dropout"
    both[2] = tanh
    assert agrees(both, 4).layers == (4, 3, 3, 2)


@pytest.mark.parametrize("layers", [[Dropout("d", 0.5), make.dense(4, 3)], [make.dense(4, 3), relu, Dropout("d", 0.5)]])
def test_dropout_that_has_no_place_is_named(layers):
    with pytest.warns(UserWarning, match="d: dropout is left out"):
        assert isinstance(build(layers), MLP)
    layers[layers.index(next(layer for layer in layers if isinstance(layer, Dropout)))] = Dropout("d", 0.0)
    build(layers)


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        ([], "no layer with parameters"), ([relu], "no layer with parameters"),
        ([make.dense(4, 3), make.dense(4, 3)], "dense takes 4 values, but is given 3"),
        ([make.dense(4, 3), make.affine(2)], "affine takes 2 values, but is given 3"),
        ([make.dense(4, 3), make.norm(2)], "norm takes 2 values, but is given 3"),
        ([make.dense(4, 3), softmax, relu], "relu: softmax must be the last"),
        ([make.dense(4, 3), softmax, make.dense(3, 2)], "dense: softmax must be the last"),
        ([make.affine()], "affine: there is no layer that says how many"),
        ([make.dense(4, 3), Dropout("d", 1.0)], r"d: the rate must be in \[0, 1\), got 1.0"),
        ([make.dense(4, 3), Dropout("d", float("nan"))], "d: the rate"),
        ([make.dense(4, 3), Maker(0, "float32").dense(3, 2)], "dense holds float32, but .* float64"),
        ([Maker(0, "float16").dense(4, 3)], "dense must hold float32 or float64, not float16"),
    ],
)  # fmt: skip
def test_chains_that_are_no_model(layers, match):
    with pytest.raises(ValueError, match=match):
        build(layers)


def test_variances_must_not_be_negative():
    layer = chain.affine_of_batch_norm("here", np.ones(2), np.zeros(2), 0.25, None, None)
    assert (layer.scale.tolist(), layer.shift.tolist()) == ([2, 2], [-2, -2])
    with pytest.raises(ValueError, match="here: variances must be at least 0, got -1"):
        chain.affine_of_batch_norm("here", np.zeros(2), np.array([1.0, -1.0]), 1e-5, None, None)


def test_diagonal_layers_do_not_grow_beyond_the_model():
    wide = np.ones(3000)
    layers = [Affine("scale", wide, wide, wide.dtype), relu] * 2
    with pytest.raises(ValueError, match="its width, 3000, in addition would be larger than the model"):
        build(layers)
    make = Maker()
    agrees([make.affine(300), relu, make.affine(300), tanh, make.dense(300, 2)], 300, 1e-12)
