"""What the estimators have in common: parameters, checks, training."""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions
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


def has_partial_fit(estimator: Any) -> bool:
    """Whether the estimator's solver goes batch by batch; if not, an AttributeError."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit needs solver='adam' or 'sgd', not 'lbfgs'")
    return True


class Perceptron(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor have in common."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
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
    _numeric_targets: ClassVar[bool] = False
    _model: MLP
    _descent: Descent | None
    _no_improvement_count: int
    _best_parameters: list[list[Array]]
    n_outputs_: int

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

    def _encode(self, y: Any, dtype: Any, first: bool, incremental: bool, classes: Any) -> tuple[Array, int]:
        # what the network takes, targets (samples, outputs) of this dtype or indices of classes; the number of outputs
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

    @coefs_.setter
    def coefs_(self, values: Any) -> None:
        self._model.set_parameters(list(zip(values, self._model.biases, strict=True)))

    @property
    def intercepts_(self) -> tuple[Array, ...]:
        """Biases (outputs,) of every layer, likewise."""
        return self._model.biases

    @intercepts_.setter
    def intercepts_(self, values: Any) -> None:
        self._model.set_parameters(list(zip(self._model.weights, values, strict=True)))

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
        hidden = list(hidden) if np.iterable(hidden) else [hidden]
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
        X = X if first else X.astype(self._model.dtype, copy=False)
        weights = self._weights(sample_weight, X)
        targets, width = self._encode(y, X.dtype, first, incremental, classes)
        layers = (X.shape[1], *hidden, width)
        if not first and layers != self._model.layers:
            raise ValueError(f"layers must stay as they were fitted, {self._model.layers}, got {layers}")

        self.n_outputs_ = width
        random_state = check_random_state(self.random_state)
        if first:
            self._start(layers, X.dtype, random_state)
        if self.solver == "lbfgs":
            self._fit_lbfgs(X, targets, weights)
        else:
            self._fit_stochastic(X, targets, weights, first, incremental, random_state)
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
        names: dict[str, Any] = {
            "activation": "sigmoid" if self.activation == "logistic" else self.activation,
            "output": head.output,
            "loss": head.loss,
        }
        return MLP(layers, **names, optimizer=optimizer, dtype=dtype, rng=0)

    def _start(self, layers: Any, dtype: Any, random_state: Any) -> None:
        # a new network, before any training
        self._model = self._network(layers, dtype, None)
        self._model.set_parameters(glorot(layers, self.activation, random_state))
        self._descent = None
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(layers)
        self.out_activation_ = {"sigmoid": "logistic"}.get(self._head().output, self._head().output)

    def _fit_lbfgs(self, X: Any, targets: Array, weights: Array | None) -> None:
        # in float64, or line searches would end in rounding errors
        wide = X.astype(np.float64, copy=False)
        targets = targets if targets.ndim == 1 else targets.astype(np.float64, copy=False)
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
                stacklevel=5,
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
            descent = AdamDescent(model, head, self.beta_2, self.epsilon)
        else:
            descent = GradientDescent(model, head, self.learning_rate_init, self.learning_rate, self.power_t)
        self._model = model
        return descent

    def _fit_stochastic(
        self, X: Any, targets: Array, weights: Array | None, first: bool, incremental: bool, random_state: Any
    ) -> None:
        if self._descent is None or not incremental:
            self._descent = self._new_descent()
        descent = self._descent
        self._start_record(first or not hasattr(self, "loss_curve_"))
        validation = None
        if self.early_stopping:
            stratify = targets[:, 0] > 0.5 if not self._numeric_targets and self.n_outputs_ == 1 else None
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
                stacklevel=5,
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
                    stacklevel=5,
                )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
        if self.early_stopping:
            self._model.set_parameters(self._best_parameters)

    def _start_record(self, anew: bool) -> None:
        if anew:
            self.loss_curve_: list[float] = []
            self._no_improvement_count = 0
            self.best_loss_: float | None = None
            self.validation_scores_: list[float] | None = None
            self.best_validation_score_: float | None = None
        if self.early_stopping and self.validation_scores_ is None:
            self.validation_scores_ = []
            self.best_validation_score_ = -np.inf
            self._keep_parameters()
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
