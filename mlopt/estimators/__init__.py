"""Estimators for scikit-learn, computed by :mod:`mlopt.nn`.

:class:`MLPClassifier` and :class:`MLPRegressor` take the place of those of :mod:`sklearn.neural_network`::

    estimator --samples checked, targets encoded--> solvers.py --one call a batch--> mlopt.nn.MLP
"""

from mlopt._extras import needs

needs("sklearn", extra="sklearn")

from mlopt.estimators.perceptron import MLPClassifier, MLPRegressor  # noqa: E402

__all__ = ["MLPClassifier", "MLPRegressor"]
