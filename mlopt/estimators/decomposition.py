"""The truncated singular value decomposition as an estimator of scikit-learn."""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import check_is_fitted, validate_data

from mlopt.estimators.solvers import Array
from mlopt.linalg import matmul, randomized_svd

TYPES = (np.float64, np.float32)


def _projected(X: Any, components: Array) -> Array:
    product: Array = matmul(X, components.T)
    return product


class TruncatedSVD(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Dimensionality reduction by singular vectors: :class:`sklearn.decomposition.TruncatedSVD`, computed by `mlopt`.

    Samples are not centred, so that sparse ones stay sparse. Parameters, attributes and results are those of
    scikit-learn's, with ``algorithm="randomized"``, but for the random numbers.

    Parameters
    ----------
    n_components : int, default 2
        How many components, at most as many as features.
    algorithm : {"randomized"}, default "randomized"
        The only one; ARPACK is not here.
    n_iter : int, default 5
        Power iterations.
    n_oversamples : int, default 10
        At least so many columns of the random test matrix more than components.
    random_state : int, RandomState instance or None, default None
        For the test matrix.
    tol : float, default 0.0
        Where it is above 0: take only as many components as are needed for ``error_bound_ <= tol``. (scikit-learn's is
        ARPACK's.)

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Right singular vectors, the entry of largest magnitude of each positive.
    explained_variance_, explained_variance_ratio_ : ndarray of shape (n_components,)
        Variance of the training samples projected on each component, and its part of the variance of all features.
    singular_values_ : ndarray of shape (n_components,)
        Singular values, descending.
    error_bound_ : float
        Bound of the spectral norm of what the components leave of the samples; see
        :func:`mlopt.linalg.randomized_svd`. Not in scikit-learn.
    n_features_in_ : int
        Features.
    feature_names_in_ : ndarray of str
        Names of the features, where `X` has them.

    Examples
    --------
    >>> from scipy.sparse import random_array
    >>> from mlopt import TruncatedSVD
    >>> X = random_array((500, 300), density=0.05, format="csr", rng=0)
    >>> model = TruncatedSVD(n_components=10, random_state=0).fit(X)
    >>> model.transform(X).shape
    (500, 10)
    >>> bool(model.singular_values_[0] > model.singular_values_[-1] > 0)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "algorithm": [StrOptions({"randomized"})],
        "n_iter": [Interval(Integral, 0, None, closed="left")],
        "n_oversamples": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
    }
    components_: Array
    explained_variance_: Array
    explained_variance_ratio_: Array
    singular_values_: Array
    error_bound_: float

    def __init__(
        self,
        n_components: int = 2,
        *,
        algorithm: str = "randomized",
        n_iter: int = 5,
        n_oversamples: int = 10,
        random_state: Any = None,
        tol: float = 0.0,
    ) -> None:
        self.n_components = n_components
        self.algorithm = algorithm
        self.n_iter = n_iter
        self.n_oversamples = n_oversamples
        self.random_state = random_state
        self.tol = tol

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the components of samples.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.  float32 is computed in float32, anything else in float64.
        y : ignored
            Not used.

        Returns
        -------
        self
        """
        self.fit_transform(X)
        return self

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Find the components of samples, and project the samples on them.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : ignored
            Not used.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            The projections.
        """
        X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=TYPES, ensure_min_features=2)
        if self.n_components > X.shape[1]:
            raise ValueError(f"n_components({self.n_components}) must be <= n_features({X.shape[1]}).")
        # as in scikit-learn, no more components than samples
        rank = min(self.n_components, X.shape[0])
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        result = randomized_svd(
            X, rank, tol=self.tol or None, oversampling=self.n_oversamples, n_iter=self.n_iter, rng=seed
        )
        components = result.Vh
        negative = components.max(axis=1) < -components.min(axis=1)
        self.components_ = np.where(negative[:, np.newaxis], -components, components)
        self.singular_values_, self.error_bound_ = result.S, result.error_bound

        projected = _projected(X, self.components_)
        variances = mean_variance_axis(X, axis=0)[1] if issparse(X) else np.var(X, axis=0)
        self.explained_variance_ = np.var(projected, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.explained_variance_ratio_ = self.explained_variance_ / variances.sum()
        return projected

    def transform(self, X: Any) -> Array:
        """Project samples on the components.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            The projections.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=TYPES, reset=False)
        return _projected(X, self.components_)

    def inverse_transform(self, X: Any) -> Array:
        """The samples that projections stand for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Projections.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Dense samples.
        """
        check_is_fitted(self)
        samples: Array = matmul(check_array(X, dtype=TYPES), self.components_)
        return samples

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)


__all__ = ["TruncatedSVD"]
