"""Models from scikit-learn: they predict what the estimators do."""

import sys
import warnings

import numpy as np
import pytest

import mlopt.nn
from mlopt.nn import from_sklearn

networks = pytest.importorskip("sklearn.neural_network")
ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def fitted(kind, X, y, seed, **options):
    rng = np.random.default_rng(seed)
    sizes = tuple(int(n) for n in rng.integers(1, 30, rng.integers(0, 4)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged
        return kind(hidden_layer_sizes=sizes, max_iter=5, random_state=seed, **options).fit(X, y)


def check(model, result, expected, dtype, activation, estimator):
    assert model.dtype == dtype
    assert model.layers == (estimator.n_features_in_, *estimator.hidden_layer_sizes, estimator.n_outputs_)
    if len(model.layers) > 2:
        assert model.activation == ACTIVATIONS[activation]
    np.testing.assert_allclose(result, expected, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("outputs", [None, 3])
def test_regressors(outputs, seed, activation, dtype):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((40, 6)).astype(dtype)
    y = rng.standard_normal(40 if outputs is None else (40, outputs))
    regressor = fitted(networks.MLPRegressor, X, y, seed, activation=activation)
    model = from_sklearn(regressor)
    result = model.predict(X)
    check(model, result.ravel() if outputs is None else result, regressor.predict(X), dtype, activation, regressor)
    assert (model.output, model.loss_function) == ("identity", "mse")


LABELS = {
    "binary": (lambda rng: rng.choice(["no", "yes"], 40), "sigmoid", "binary_cross_entropy"),
    "multiclass": (lambda rng: rng.choice([5, 3, 9], 40), "softmax", "cross_entropy"),
    "multilabel": (lambda rng: rng.integers(0, 2, (40, 3)), "sigmoid", "binary_cross_entropy"),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", LABELS)
def test_classifiers(kind, seed, activation, dtype):
    labels, output, loss = LABELS[kind]
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((40, 6)).astype(dtype)
    classifier = fitted(networks.MLPClassifier, X, labels(rng), seed, activation=activation)
    model = from_sklearn(classifier)
    result = model.predict(X)
    expected = classifier.predict_proba(X)
    check(model, result.ravel() if kind == "binary" else result, expected[:, 1] if kind == "binary" else expected,
          dtype, activation, classifier)  # fmt: skip
    assert (model.output, model.loss_function) == (output, loss)
    if kind == "multiclass":
        np.testing.assert_array_equal(classifier.classes_[result.argmax(axis=1)], classifier.predict(X))


def test_parameters_are_copies_and_the_optimizer_is_the_given_one():
    X = np.eye(4)
    regressor = fitted(networks.MLPRegressor, X, X[0], 1)
    model = from_sklearn(regressor, optimizer=mlopt.nn.SGD(lr=0.25))
    assert model.optimizer == mlopt.nn.SGD(lr=0.25)
    before = regressor.predict(X)
    model.weights[0][...] = 0
    np.testing.assert_array_equal(regressor.predict(X), before)


class Unusual(networks.MLPRegressor):
    pass


def unusual(**attributes):
    regressor = fitted(Unusual, np.eye(4), np.ones(4), 1)
    vars(regressor).update(attributes)
    return regressor


@pytest.mark.parametrize(
    ("estimator", "match"),
    [
        (lambda: networks.MLPRegressor(), "estimator must be fitted, but the MLPRegressor is not"),
        (lambda: networks.MLPClassifier(), "the MLPClassifier is not"),
        (lambda: networks.BernoulliRBM(), "must be an MLPClassifier or MLPRegressor of scikit-learn, not BernoulliRBM"),
        (lambda: None, "not NoneType"),
        (lambda: unusual(out_activation_="exp"), "activation 'exp'"),
        (lambda: unusual(activation="cosine"), "activation 'cosine' in layer 0"),
    ],
)
def test_what_is_not_supported_is_named(estimator, match):
    with pytest.raises(ValueError, match=match):
        from_sklearn(estimator())


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "sklearn.neural_network")
    with pytest.raises(ImportError, match=r"sklearn is not installed: pip install 'mlopt\[sklearn\]'"):
        from_sklearn(None)
