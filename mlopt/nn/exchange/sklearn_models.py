"""Models from scikit-learn estimators."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlopt._extras import needs
from mlopt.nn.exchange.chain import Activation, Dense, Layer, build
from mlopt.nn.mlp import MLP

__all__ = ["from_sklearn"]

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu", "softmax": "softmax"}


def from_sklearn(estimator: Any, *, optimizer: Any = None) -> MLP:
    """Make a model of a fitted MLPClassifier or MLPRegressor of scikit-learn.

    Parameters
    ----------
    estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
        Fitted.
    optimizer : AdamW or SGD, optional
        Of the new model; the estimator's own training state is not taken over.

    Returns
    -------
    MLP
        Of the type of ``estimator.coefs_``.  A classifier's model predicts the probabilities of ``estimator.classes_``
        in their order, with two classes that of the second alone; with several labels a sample, that of each label.

    Raises
    ------
    ValueError
        Where the estimator is not fitted, is another kind, or has an output that no model has.

    Examples
    --------
    >>> import mlopt
    >>> from sklearn.neural_network import MLPRegressor
    >>> X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> regressor = MLPRegressor(hidden_layer_sizes=[8], solver="lbfgs", random_state=0).fit(X, [0, 1, 1, 2])
    >>> model = mlopt.nn.from_sklearn(regressor)
    >>> model.layers, model.dtype.name
    ((2, 8, 1), 'float64')
    >>> bool(abs(model.predict(X).ravel() - regressor.predict(X)).max() < 1e-12)
    True
    """
    networks = needs("sklearn.neural_network", extra="sklearn")
    kind = type(estimator).__name__
    if not isinstance(estimator, networks.MLPClassifier | networks.MLPRegressor):
        raise ValueError(f"estimator must be an MLPClassifier or MLPRegressor of scikit-learn, not {kind}")
    if not hasattr(estimator, "coefs_"):
        raise ValueError(f"estimator must be fitted, but the {kind} is not")
    names = [*[estimator.activation] * (len(estimator.coefs_) - 1), estimator.out_activation_]
    layers: list[Layer] = []
    for i, (name, weights, biases) in enumerate(zip(names, estimator.coefs_, estimator.intercepts_, strict=True)):
        if name not in ACTIVATIONS:
            raise ValueError(f"estimator has the activation {name!r} in layer {i}, expected one of: "
                             f"{', '.join(ACTIVATIONS)}")  # fmt: skip
        layers += [Dense(f"layer {i}", np.asarray(weights), np.asarray(biases)),
                   Activation(f"layer {i}", ACTIVATIONS[name])]  # fmt: skip
    model = build(layers, optimizer=optimizer)
    assert isinstance(model, MLP)
    return model
