"""Multilayer perceptrons as estimators of scikit-learn."""

from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from mlopt.estimators.base import Perceptron, has_partial_fit
from mlopt.estimators.solvers import Array, Head


class MLPClassifier(ClassifierMixin, Perceptron):  # type: ignore[misc]
    """Multilayer perceptron that classifies: :class:`sklearn.neural_network.MLPClassifier`, computed by `mlopt.nn.MLP`.

    Parameters, attributes and results are those of scikit-learn: for the same `random_state` every step of
    training is the same but for rounding.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default (100,)
        Widths of the hidden layers; may be empty.
    activation : {"relu", "tanh", "logistic", "identity", "gelu", "silu"}, default "relu"
        Of the hidden layers.  The last two are not in scikit-learn.
    solver : {"adam", "sgd", "lbfgs"}, default "adam"
        Adam, gradient descent with momentum, or L-BFGS on all samples at once.
    alpha : float, default 0.0001
        Penalty ``alpha / 2 * sum(weights**2)``, divided by the number (the weight) of the batch's samples.
    batch_size : int or "auto", default "auto"
        Samples in a batch; automatically ``min(200, n_samples)``.
    learning_rate : {"constant", "invscaling", "adaptive"}, default "constant"
        For gradient descent: the rate stays, falls with the `power_t` of the samples seen, or is divided
        by 5 whenever there is no progress.
    learning_rate_init : float, default 0.001
        The first learning rate.
    power_t : float, default 0.5
        Exponent of ``learning_rate="invscaling"``.
    max_iter : int, default 200
        At most so many epochs, for L-BFGS iterations.
    shuffle : bool, default True
        Whether each epoch takes the samples in a new order.
    random_state : int, RandomState instance or None, default None
        For the first weights, the validation set and the order of samples.
    tol : float, default 1e-4
        What counts as progress of the loss or the validation score.
    verbose : bool, default False
        Whether to print every epoch's loss.
    warm_start : bool, default False
        Whether :meth:`fit` goes on from the last one's weights.
    momentum : float, default 0.9
        For gradient descent.
    nesterovs_momentum : bool, default True
        Whether that momentum is Nesterov's.
    early_stopping : bool, default False
        Whether to stop by the score on samples that are set aside, and to return to its best weights.
    validation_fraction : float, default 0.1
        Part of the samples that `early_stopping` sets aside.
    beta_1, beta_2 : float, default 0.9 and 0.999
        Adam's decay rates.
    epsilon : float, default 1e-8
        Added to the root of Adam's second moment before its bias is corrected, as in scikit-learn.
    n_iter_no_change : int, default 10
        Training ends after more than so many epochs without progress.
    max_fun : int, default 15000
        Most evaluations of the loss for L-BFGS.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    loss_, best_loss_ : float
        The last loss and the lowest one; the latter None with early stopping.
    loss_curve_ : list of float
        The loss of every epoch.
    validation_scores_, best_validation_score_ : list of float, float
        With early stopping the accuracy after every epoch and the highest one, otherwise None.
    t_ : int
        Samples seen in training.
    coefs_, intercepts_ : tuple of ndarray
        Weights (inputs, outputs) and biases (outputs,) of every layer.
    n_features_in_, n_outputs_, n_layers_, n_iter_ : int
        Features, outputs, layers with that of the inputs, epochs of the last call.
    feature_names_in_ : ndarray of str
        Names of the features, where `X` has them.
    out_activation_ : {"softmax", "logistic"}
        Of the last layer.

    Notes
    -----
    The loss is computed from logits; scikit-learn's from probabilities that it keeps away from 0 and 1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from mlopt import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MLPClassifier(solver="lbfgs", alpha=1.0, random_state=0))
    >>> bool(model.fit(X, y).score(X, y) > 0.95)
    True
    >>> model.predict(X[:3]).tolist()
    [0, 0, 0]
    """

    classes_: Array
    _multilabel: bool
    _sparse_labels: bool

    def _encode(self, y: Any, dtype: Any, first: bool, incremental: bool, classes: Any) -> tuple[Array, int]:
        check_classification_targets(y)
        multilabel = type_of_target(y) == "multilabel-indicator"
        if not multilabel and y.ndim == 2:
            raise ValueError(f"y must be one column of classes or a matrix of 0 and 1, got shape {y.shape}")
        found = unique_labels(y)
        given = found if classes is None else unique_labels(classes)
        known = given if first else self.classes_
        if classes is not None and not np.array_equal(given, known):
            raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known}")
        if not first and not incremental and not np.array_equal(found, known):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {known}, `y` has {found}"
            )
        if not np.isin(found, known).all():
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {known}. 'y' has {found}.")
        if not first and multilabel != self._multilabel:
            raise ValueError("y must be as in the first call: either a column of classes or a matrix of 0 and 1")
        self.classes_, self._multilabel, self._sparse_labels = known, multilabel, issparse(y)
        if multilabel:
            return (y.toarray() if issparse(y) else y).astype(dtype), y.shape[1]
        indices = np.searchsorted(known, y).astype(np.intp, copy=False)
        if len(known) > 2:
            return indices, len(known)
        return indices.astype(dtype)[:, np.newaxis], 1

    def _head(self) -> Head:
        if self.n_outputs_ > 1 and not self._multilabel:
            return Head("softmax", "cross_entropy", 1.0, 1.0)
        return Head("sigmoid", "binary_cross_entropy", float(self.n_outputs_), float(self.n_outputs_))

    def _validation_score(self, prediction: Array, targets: Array, weights: Array | None) -> float:
        if not np.isfinite(prediction).all():
            return float("nan")
        if targets.ndim == 1:
            right = prediction.argmax(axis=1) == targets
        else:
            right = ((prediction > 0.5) == (targets > 0.5)).all(axis=1)
        return float(np.average(right, weights=weights))

    @available_if(has_partial_fit)  # type: ignore[untyped-decorator]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train one epoch more.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or 0 and 1 for every label.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each sample's loss.
        classes : array-like of shape (n_classes,), optional
            All class labels that there will be; must be given in the first call.

        Returns
        -------
        self
        """
        if classes is None and not hasattr(self, "_model"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    def predict(self, X: Any) -> Any:
        """The most likely class of every sample.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        prediction = self._outputs(X)
        if self._multilabel:
            labels = (prediction > 0.5).astype(int)
            return csr_matrix(labels) if self._sparse_labels else labels
        if self.n_outputs_ > 1:
            return self.classes_[prediction.argmax(axis=1)]
        return self.classes_[np.minimum(prediction[:, 0] > 0.5, len(self.classes_) - 1).astype(int)]

    def predict_proba(self, X: Any) -> Array:
        """Probability of every class, in the order of `classes_`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        prediction = self._outputs(X)
        if self._multilabel or self.n_outputs_ > 1:
            return prediction
        return np.ones_like(prediction) if len(self.classes_) == 1 else np.hstack([1 - prediction, prediction])

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        probability = self.predict_proba(X)
        return np.log(probability, out=probability)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, Perceptron):  # type: ignore[misc]
    """Multilayer perceptron for numbers: :class:`sklearn.neural_network.MLPRegressor`, computed by `mlopt.nn.MLP`.

    For the same `random_state` every step of training is scikit-learn's but for rounding.

    Parameters
    ----------
    loss : {"squared_error", "huber"}, default "squared_error"
        Half the squared error; or Huber's loss, linear beyond an error of 1, which is not in scikit-learn.
        scikit-learn's ``"poisson"`` is not available.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, \
shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, \
beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As for :class:`MLPClassifier`.

    Attributes
    ----------
    validation_scores_, best_validation_score_ : list of float, float
        With early stopping the coefficient of determination after every epoch and the highest one,
        otherwise None.
    out_activation_ : {"identity"}
        Of the last layer.
    loss_, best_loss_, loss_curve_, t_, coefs_, intercepts_, n_features_in_, n_outputs_, n_layers_, n_iter_, \
feature_names_in_
        As for :class:`MLPClassifier`.

    Notes
    -----
    With several outputs the gradient is that of the sum over them, and the loss that is reported their
    mean, as in scikit-learn.  L-BFGS minimises the sum.

    Examples
    --------
    >>> import numpy as np
    >>> from mlopt import MLPRegressor
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> y = np.sin(3 * X[:, 0])
    >>> model = MLPRegressor(solver="lbfgs", activation="tanh", random_state=0, max_iter=500)
    >>> bool(model.fit(X, y).score(X, y) > 0.99)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **Perceptron._parameter_constraints,
        "loss": [StrOptions({"squared_error", "huber"})],
    }
    _numeric_targets = True

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
        )
        self.loss = loss

    def _encode(self, y: Any, dtype: Any, first: bool, incremental: bool, classes: Any) -> tuple[Array, int]:
        targets: Array = y[:, np.newaxis] if y.ndim == 1 else y
        return targets.astype(dtype, copy=False), targets.shape[1]

    def _head(self) -> Head:
        if self.loss == "huber":
            return Head("identity", "huber", float(self.n_outputs_), 1.0)
        return Head("identity", "mse", self.n_outputs_ / 2, 0.5)

    def _validation_score(self, prediction: Array, targets: Array, weights: Array | None) -> float:
        # the coefficient of determination, over all outputs alike
        if not np.isfinite(prediction).all():
            return float("nan")
        error = np.average((targets - prediction) ** 2, axis=0, weights=weights)
        spread = np.average((targets - np.average(targets, axis=0, weights=weights)) ** 2, axis=0, weights=weights)
        constant = spread == 0
        share = np.where(constant, error != 0, error / np.where(constant, 1, spread))
        return float(np.mean(1 - share))

    @available_if(has_partial_fit)  # type: ignore[untyped-decorator]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch more.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each sample's loss.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """The network's outputs.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        prediction = self._outputs(X)
        return prediction[:, 0] if self.n_outputs_ == 1 else prediction

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
