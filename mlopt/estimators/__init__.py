"""Estimators for scikit-learn, computed by :mod:`mlopt.nn` and :mod:`mlopt.linalg`.

:class:`MLPClassifier` and :class:`MLPRegressor` take the place of those of :mod:`sklearn.neural_network`::

    estimator --samples checked, targets encoded--> solvers.py --one call a batch--> mlopt.nn.MLP

:class:`TruncatedSVD` takes the place of :mod:`sklearn.decomposition`'s, over :func:`mlopt.linalg.randomized_svd`.
"""

from mlopt._extras import needs

needs("sklearn", extra="sklearn")

from mlopt.estimators.decomposition import TruncatedSVD  # noqa: E402
from mlopt.estimators.perceptron import MLPClassifier, MLPRegressor  # noqa: E402

__all__ = ["MLPClassifier", "MLPRegressor", "TruncatedSVD"]
