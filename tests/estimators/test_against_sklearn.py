"""The same steps, records and results as scikit-learn's estimators, from the same random state."""

import inspect
import warnings

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_multilabel_classification
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.preprocessing import StandardScaler, scale
from threadpoolctl import threadpool_limits

from mlopt.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
THEIRS = {MLPClassifier: neural_network.MLPClassifier, MLPRegressor: neural_network.MLPRegressor}


def digits():
    X, y = load_digits(return_X_y=True)
    return MLPClassifier, X[:500] / 16, y[:500], {}


def two_classes():
    X, y = load_breast_cancer(return_X_y=True)
    return MLPClassifier, scale(X), y, {"activation": "logistic", "hidden_layer_sizes": (20, 10)}


def labels():
    X, y = make_multilabel_classification(200, random_state=0)
    return MLPClassifier, scale(X), y, {"activation": "tanh"}


def one_target():
    X, y = load_diabetes(return_X_y=True)
    return MLPRegressor, X, y / 100, {"batch_size": 64}


def three_targets():
    X, y = load_diabetes(return_X_y=True)
    return MLPRegressor, X, np.column_stack([y, np.sqrt(y), -y]) / 100, {"activation": "identity"}


PROBLEMS = [digits, two_classes, labels, one_target, three_targets]
SOLVERS = [
    {"solver": "adam"},
    {"solver": "adam", "epsilon": 1e-3, "beta_1": 0.8, "early_stopping": True},
    {"solver": "sgd", "learning_rate_init": 0.01},
    {"solver": "sgd", "learning_rate_init": 0.01, "learning_rate": "invscaling", "power_t": 0.2},
    {"solver": "sgd", "learning_rate_init": 0.01, "learning_rate": "adaptive", "tol": 0.02, "n_iter_no_change": 1},
    {"solver": "sgd", "nesterovs_momentum": False, "shuffle": False, "early_stopping": True},
    {"solver": "sgd", "momentum": 0, "batch_size": 37},
]


def both(problem, sample_weight=None, **parameters):
    cls, X, y, more = problem()
    arguments = {"max_iter": 12, "random_state": 3, "alpha": 0.1, **more, **parameters}
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    if weights and "sample_weight" not in inspect.signature(THEIRS[cls].fit).parameters:
        pytest.skip("this scikit-learn's perceptrons take no weights")
    return [estimator(**arguments).fit(X, y, **weights) for estimator in (cls, THEIRS[cls])], X, y


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: "-".join(map(str, solver.values())))
@pytest.mark.parametrize("problem", PROBLEMS)
def test_trajectory(problem, solver, weighted):
    weights = np.random.default_rng(0).random(len(problem()[1])) if weighted else None
    (ours, theirs), X, _ = both(problem, weights, **solver)
    assert len(ours.loss_curve_) == len(theirs.loss_curve_) == ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert ours.t_ == theirs.t_
    for name in ("coefs_", "intercepts_"):
        for mine, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-8)
    if ours.early_stopping:
        assert ours.best_loss_ is None
        np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, atol=1e-9)
        assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
    else:
        assert ours.validation_scores_ is ours.best_validation_score_ is None
        assert ours.best_loss_ == pytest.approx(theirs.best_loss_)
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(theirs, method):
            mine, other = getattr(ours, method)(X), getattr(theirs, method)(X)
            assert (mine.shape, mine.dtype) == (other.shape, other.dtype)
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("problem", [two_classes, labels, one_target])
def test_lbfgs(problem, weighted):
    weights = np.random.default_rng(0).random(len(problem()[1])) if weighted else None
    (ours, theirs), X, y = both(problem, weights, solver="lbfgs")
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-4)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=0.01)


def test_lbfgs_minimises_the_sum_over_outputs():
    cls, X, y, _ = three_targets()
    model = cls(hidden_layer_sizes=(), solver="lbfgs", alpha=0.0, tol=1e-8, max_iter=1000, random_state=0).fit(X, y)
    design = np.column_stack([X, np.ones(len(X))])
    best = design @ np.linalg.lstsq(design, y)[0]
    np.testing.assert_allclose(model.predict(X), best, atol=5e-3)
    assert model.loss_ == pytest.approx(((best - y) ** 2).mean() / 2, rel=1e-5)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_float32(problem, solver):
    cls, X, y, more = problem()
    model = cls(solver=solver, max_iter=5, random_state=0, **more).fit(X.astype(np.float32), y)
    assert {part.dtype for part in (*model.coefs_, *model.intercepts_)} == {np.dtype(np.float32)}
    wide = cls(solver=solver, max_iter=5, random_state=0, **more).fit(X, y)
    assert model.loss_ == pytest.approx(wide.loss_, rel=1e-3)
    prediction = model._outputs(X)
    assert prediction.dtype == np.float32
    np.testing.assert_allclose(prediction, wide._outputs(X), atol=0.01)


@pytest.mark.parametrize("cls", THEIRS)
def test_signature(cls):
    ours, theirs = inspect.signature(cls).parameters, inspect.signature(THEIRS[cls]).parameters
    if next(iter(theirs)) != next(iter(ours)):
        pytest.skip("this scikit-learn's regressor has no choice of a loss")
    assert list(ours) == list(theirs)
    assert {name: (p.default, p.kind) for name, p in ours.items()} == {
        name: (p.default, p.kind) for name, p in theirs.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cls", "load", "parameters"),
    [
        (MLPClassifier, load_digits, {}),
        (MLPClassifier, load_breast_cancer, {"solver": "lbfgs", "alpha": 1.0}),
        (MLPClassifier, load_breast_cancer, {"solver": "sgd", "learning_rate_init": 0.01}),
        (MLPRegressor, load_diabetes, {"solver": "lbfgs", "hidden_layer_sizes": (8,), "alpha": 10.0}),
        (MLPRegressor, load_diabetes, {"early_stopping": True, "learning_rate_init": 0.01}),
    ],
)
def test_score(cls, load, parameters):
    X, y = load(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    folds = (KFold if cls is MLPRegressor else StratifiedKFold)(4, shuffle=True, random_state=0)
    with threadpool_limits(1):  # or NumPy's threads wait for each other at every product
        ours, theirs = (
            cross_val_score(estimator(random_state=0, **parameters), X, y, cv=folds) for estimator in (cls, THEIRS[cls])
        )
    assert ours.mean() >= theirs.mean() - max(0.005, ours.std() / 2)


def test_huber_is_the_squared_error_of_small_errors():
    X, y = load_diabetes(return_X_y=True)
    y = y / 1e4
    arguments = {"max_iter": 5, "random_state": 0, "hidden_layer_sizes": ()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        squared, huber = (MLPRegressor(loss, **arguments) for loss in ("squared_error", "huber"))
        squared.fit(X / 10, y)
        huber.fit(X / 10, y)
    inside = np.abs(y[:, np.newaxis]).max() < 1
    assert inside
    assert huber.loss_curve_[-1] == pytest.approx(squared.loss_curve_[-1], rel=0.1)
