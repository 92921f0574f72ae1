"""Multilayer perceptrons as estimators of scikit-learn."""

import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from mlopt.estimators.solvers import (
    ROWS,
    AdamDescent,
    Array,
    Descent,
    GradientDescent,
    Head,
    Objective,
    Samples,
    glorot,
    minimise,
    outputs,
)
from mlopt.nn import MLP


def _has_partial_fit(estimator: Any) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit needs solver='adam' or 'sgd', not 'lbfgs'")
    return True


class _Perceptron(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor have in common."""

    _parameter_constraints: dict[str, Any] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"identity", "logistic", "tanh", "relu", "gelu", "silu"})],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
    }
    # what a subclass says of itself
    _numeric_targets = False
    _model: MLP
    _descent: Descent | None

    def __init__(
        self,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun

    # --- what a subclass defines -----------------------------------------------------------------

    def _encode(self, y: Any, first: bool, incremental: bool, classes: Any) -> Array:
        # targets as the network takes them; sets n_outputs_
        raise NotImplementedError

    def _head(self) -> Head:
        raise NotImplementedError

    def _validation_score(self, prediction: Array, targets: Array, weights: Array | None) -> float:
        # of the network's outputs against encoded targets
        raise NotImplementedError

    # --- public ----------------------------------------------------------------------------------

    @property
    def coefs_(self) -> tuple[Array, ...]:
        """Weights (inputs, outputs) of every layer: views, so that what is written into them counts."""
        return self._model.weights

    @property
    def intercepts_(self) -> tuple[Array, ...]:
        """Biases (outputs,) of every layer, likewise."""
        return self._model.biases

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on samples and targets, from new weights unless ``warm_start=True``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.  float32 is computed in float32, anything else in float64.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each sample's loss.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight)

    # --- training --------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool = False, classes: Any = None) -> Self:
        hidden = self.hidden_layer_sizes
        hidden = [int(size) for size in (hidden if np.iterable(hidden) else [hidden])]
        if min(hidden, default=1) <= 0:
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}")
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        first = not hasattr(self, "_model") or not (self.warm_start or incremental)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            order="C",
            dtype=(np.float64, np.float32),
            multi_output=True,
            y_numeric=self._numeric_targets,
            reset=first,
        )
        if y.ndim == 2 and y.shape[1] == 1 and not issparse(y):
            y = column_or_1d(y, warn=True)
        weights = self._weights(sample_weight, X)
        targets = self._encode(y, first, incremental, classes)
        layers = (X.shape[1], *hidden, self.n_outputs_)
        if not first and layers != self._model.layers:
            raise ValueError(f"layers must stay as they were fitted, {self._model.layers}, got {layers}")

        random_state = check_random_state(self.random_state)
        if first:
            self._start(layers, X.dtype, random_state)
        else:
            X = X.astype(self._model.dtype, copy=False)
        targets = targets if targets.dtype == np.intp else targets.astype(X.dtype, copy=False)
        if self.solver == "lbfgs":
            self._fit_lbfgs(X, targets, weights)
        else:
            self._fit_stochastic(X, targets, weights, incremental, random_state)
        if not all(np.isfinite(part).all() for pair in self._model.parameters for part in pair):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be"
                " preprocessed."
            )
        return self

    def _weights(self, sample_weight: Any, X: Any) -> Array | None:
        if sample_weight is None:
            return None
        weights: Array = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        if weights.min() < 0:
            raise ValueError(f"sample_weight must not be negative, got {weights.min()}")
        if weights.sum() == 0:
            raise ValueError("sample_weight must contain at least one non-zero number, got only zeros")
        return weights

    def _network(self, layers: Any, dtype: Any, optimizer: Any) -> MLP:
        head = self._head()
        activation = "sigmoid" if self.activation == "logistic" else self.activation
        return MLP(
            layers,
            activation=activation,  # type: ignore[arg-type]
            output=head.output,  # type: ignore[arg-type]
            loss=head.loss,  # type: ignore[arg-type]
            optimizer=optimizer,
            dtype=dtype,
            rng=0,
        )

    def _start(self, layers: Any, dtype: Any, random_state: Any) -> None:
        # a new network, before any training
        self._model = self._network(layers, dtype, None)
        self._model.set_parameters(glorot(layers, self.activation, random_state))
        self._descent = None
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(layers)
        self.out_activation_ = {"sigmoid": "logistic"}.get(self._head().output, self._head().output)
        for name in ("loss_curve_", "_best_parameters"):
            vars(self).pop(name, None)

    def _fit_lbfgs(self, X: Any, targets: Array, weights: Array | None) -> None:
        # in float64, or line searches would end in rounding errors
        wide = X.astype(np.float64, copy=False)
        targets = targets if targets.dtype == np.intp else targets.astype(np.float64, copy=False)
        weights = None if weights is None else weights.astype(np.float64, copy=False)
        samples = Samples(wide, targets, weights, min(ROWS, X.shape[0]))
        model = self._network(self._model.layers, np.float64, Objective.optimizer())
        model.set_parameters(self._model.parameters)
        objective = Objective(model, self._head(), samples, self.alpha)
        result = minimise(
            objective, max_iter=self.max_iter, max_fun=self.max_fun, tol=self.tol, verbose=bool(self.verbose)
        )
        self._model.set_parameters(model.parameters)
        self.n_iter_ = min(result.nit, self.max_iter)
        self.loss_ = result.reported
        if result.status != 0:
            warnings.warn(
                f"lbfgs failed to converge after {self.n_iter_} iteration(s) (status={result.status}): "
                f"{result.message}. Increase max_iter, or scale the data.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _new_descent(self) -> Descent:
        # takes the network over into one with this descent's optimiser
        head = self._head()
        descent: Descent
        if self.solver == "adam":
            optimizer: Any = AdamDescent.optimizer(self.learning_rate_init, self.beta_1, self.beta_2)
        else:
            optimizer = GradientDescent.optimizer(
                head, self.learning_rate_init, self.momentum, bool(self.nesterovs_momentum)
            )
        model = self._network(self._model.layers, self._model.dtype, optimizer)
        model.set_parameters(self._model.parameters)
        if self.solver == "adam":
            descent = AdamDescent(model, head, self.epsilon)
        else:
            descent = GradientDescent(model, head, self.learning_rate_init, self.learning_rate, self.power_t)
        self._model = model
        return descent

    def _fit_stochastic(
        self, X: Any, targets: Array, weights: Array | None, incremental: bool, random_state: Any
    ) -> None:
        if self._descent is None or not incremental:
            self._descent = self._new_descent()
        descent = self._descent
        self._start_record()
        validation = None
        if self.early_stopping:
            stratify = targets if not self._numeric_targets and self.n_outputs_ == 1 else None
            training, held_out = train_test_split(
                np.arange(X.shape[0]), random_state=random_state, test_size=self.validation_fraction, stratify=stratify
            )
            if len(held_out) < 2:
                raise ValueError(
                    "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
                )
            validation = X[held_out], targets[held_out], None if weights is None else weights[held_out]
            X, targets, weights = X[training], targets[training], None if weights is None else weights[training]

        count = X.shape[0]
        batch_size = min(200, count) if self.batch_size == "auto" else int(self.batch_size)
        if batch_size > count:
            warnings.warn(
                f"Got `batch_size` larger than sample size, {batch_size} > {count}. It is going to be clipped",
                stacklevel=4,
            )
            batch_size = count
        samples = Samples(X, targets, weights, batch_size)
        order = np.arange(count)
        epochs = 1 if incremental else self.max_iter
        converged = incremental
        self.n_iter_ = 0
        try:
            while self.n_iter_ < epochs:
                if self.shuffle:
                    permutation = np.arange(count)
                    random_state.shuffle(permutation)
                    order = order[permutation]
                self.loss_ = descent.epoch(samples, order if self.shuffle else None, self.alpha)
                self.n_iter_ += 1
                self.t_ += count
                self.loss_curve_.append(self.loss_)
                if self.verbose:
                    print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
                self._record(validation)
                descent.end_epoch(self.t_)
                if self._no_improvement_count > self.n_iter_no_change:
                    if self._give_up(descent):
                        converged = True
                        break
                    self._no_improvement_count = 0
            if not converged:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                    "converged yet.",
                    ConvergenceWarning,
                    stacklevel=4,
                )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        if self.early_stopping:
            self._model.set_parameters(self._best_parameters)

    def _start_record(self) -> None:
        if not hasattr(self, "loss_curve_"):
            self.loss_curve_: list[float] = []
            self._no_improvement_count = 0
            self.best_loss_ = None if self.early_stopping else np.inf
            self.validation_scores_: list[float] | None = [] if self.early_stopping else None
            self.best_validation_score_ = -np.inf if self.early_stopping else None
        if self.early_stopping and not hasattr(self, "_best_parameters"):
            self._keep_parameters()
            self.validation_scores_ = self.validation_scores_ or []
            self.best_validation_score_ = -np.inf
        elif not self.early_stopping and self.best_loss_ is None:
            self.best_loss_ = np.inf

    def _keep_parameters(self) -> None:
        self._best_parameters = [[part.copy() for part in pair] for pair in self._model.parameters]

    def _record(self, validation: tuple[Any, Array, Array | None] | None) -> None:
        # count the epochs without progress of the loss, or of the validation score
        if validation is None:
            best: Any = self.best_loss_
            progress = self.loss_ <= best - self.tol
            self.best_loss_ = min(best, self.loss_)
        else:
            X, targets, weights = validation
            score = self._validation_score(outputs(self._model, X), targets, weights)
            self.validation_scores_.append(score)  # type: ignore[union-attr]
            if self.verbose:
                print(f"Validation score: {score:f}")
            best = self.best_validation_score_
            progress = not score < best + self.tol
            if score > best:
                self.best_validation_score_ = score
                self._keep_parameters()
        self._no_improvement_count = 0 if progress else self._no_improvement_count + 1

    def _give_up(self, descent: Descent) -> bool:
        # unless a smaller learning rate is still to be tried
        rate = descent.slow_down()
        if self.verbose:
            what = "Validation score" if self.early_stopping else "Training loss"
            then = "Stopping." if rate is None else f"Setting learning rate to {rate:f}"
            print(
                f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs."
                f" {then}"
            )
        return rate is None

    # --- the rest --------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> Array:
        check_is_fitted(self)
        return outputs(self._model, validate_data(self, X, accept_sparse="csr", reset=False))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class MLPClassifier(ClassifierMixin, _Perceptron):  # type: ignore[misc]
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
    feature_names_in_ : ndarray of shape (n_features_in_,)
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

    def _encode(self, y: Any, first: bool, incremental: bool, classes: Any) -> Array:
        check_classification_targets(y)
        multilabel = type_of_target(y) == "multilabel-indicator"
        if not multilabel and y.ndim == 2:
            raise ValueError(f"y must be one column of classes or a matrix of 0 and 1, got shape {y.shape}")
        found = unique_labels(y)
        known = found if classes is None else unique_labels(classes)
        if first:
            self.classes_ = known
            self._multilabel, self._sparse_labels = multilabel, issparse(y)
        elif classes is not None and not np.array_equal(known, self.classes_):
            raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_}")
        if not first and self.warm_start and not incremental and not np.array_equal(found, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {found}"
            )
        if multilabel != self._multilabel or not np.isin(found, self.classes_).all():
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {found}."
            )
        if multilabel:
            self.n_outputs_ = y.shape[1]
            return y.toarray() if issparse(y) else y  # type: ignore[no-any-return]
        self.n_outputs_ = len(self.classes_) if len(self.classes_) > 2 else 1
        indices = np.searchsorted(self.classes_, y).astype(np.intp, copy=False)
        return indices if self.n_outputs_ > 1 else indices.astype(np.float32)[:, np.newaxis]

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

    @available_if(_has_partial_fit)  # type: ignore[untyped-decorator]
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
        if len(self.classes_) == 1:
            return np.ones_like(prediction)
        return np.hstack([1 - prediction, prediction])

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
        return np.log(probability, out=probability)  # type: ignore[no-any-return]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, _Perceptron):  # type: ignore[misc]
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

    _parameter_constraints: dict[str, Any] = {
        **_Perceptron._parameter_constraints,
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

    def _encode(self, y: Any, first: bool, incremental: bool, classes: Any) -> Array:
        targets: Array = y[:, np.newaxis] if y.ndim == 1 else y
        self.n_outputs_ = targets.shape[1]
        return targets.astype(np.result_type(targets, np.float32), copy=False)

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

    @available_if(_has_partial_fit)  # type: ignore[untyped-decorator]
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
