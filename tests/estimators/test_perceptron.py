"""What is promised of the estimators by themselves."""

import copy
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
import sklearn
from scipy.sparse import csc_matrix, csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

import mlopt
from mlopt.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
X = scale(X)


def same(a, b):
    for mine, other in zip((*a.coefs_, *a.intercepts_), (*b.coefs_, *b.intercepts_), strict=True):
        np.testing.assert_array_equal(mine, other)


def close(a, b, atol):
    for mine, other in zip((*a.coefs_, *a.intercepts_), (*b.coefs_, *b.intercepts_), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=atol)


def test_names_of_mlopt():
    assert mlopt.MLPClassifier is MLPClassifier
    assert mlopt.MLPRegressor is MLPRegressor
    assert {"MLPClassifier", "MLPRegressor", "nn"} <= set(dir(mlopt))
    with pytest.raises(AttributeError, match="no attribute 'MLP'"):
        _ = mlopt.MLP


@pytest.mark.no_emulator
@pytest.mark.parametrize(
    "code",
    [
        "import sys, mlopt; assert not {'sklearn', 'scipy'} & set(sys.modules)",
        "import sys; from mlopt import *; assert 'sklearn' not in sys.modules",
        "import sys, mlopt; sys.modules['sklearn'] = None\n"
        "try: mlopt.MLPClassifier\n"
        "except ImportError as error: assert \"pip install 'mlopt[sklearn]'\" in str(error), error\n"
        "else: raise AssertionError",
    ],
)
def test_without_sklearn(code):
    subprocess.run([sys.executable, "-c", code], check=True)


# --- training in parts ---------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_goes_on(solver):
    # an epoch each, without shuffling: what one fit of as many epochs does
    parts = MLPClassifier(solver=solver, shuffle=False, random_state=0, batch_size=40)
    for _ in range(4):
        parts.partial_fit(X, Y, classes=[0, 1, 2])
    whole = MLPClassifier(solver=solver, shuffle=False, random_state=0, batch_size=40, max_iter=4).fit(X, Y)
    same(parts, whole)
    assert parts.loss_curve_ == whole.loss_curve_
    assert (parts.t_, parts.n_iter_, whole.n_iter_) == (600, 1, 4)


def test_partial_fit_of_some_classes():
    model = MLPClassifier(random_state=0).partial_fit(X[:50], Y[:50], classes=[0, 1, 2])
    assert model.predict_proba(X).shape == (150, 3)
    model.partial_fit(X[50:], Y[50:])
    with pytest.raises(ValueError, match="classes not in"):
        model.partial_fit(X, Y + 1)
    with pytest.raises(ValueError, match="not the same as on last call"):
        model.partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match="classes must be passed"):
        MLPClassifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match="early_stopping"):
        MLPClassifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")


def test_regressor_partial_fit():
    features, y = make_regression(100, 5, random_state=0)
    model = MLPRegressor(random_state=0)
    for _ in range(3):
        model.partial_fit(features, y / 100)
    assert model.loss_curve_[2] < model.loss_curve_[0]
    with pytest.raises(ValueError, match="must stay as they were"):
        model.partial_fit(features, np.column_stack([y, y]))
    assert model.predict(features).shape == (100,)


def test_warm_start():
    model = MLPClassifier(warm_start=True, max_iter=5, random_state=0)
    model.fit(X, Y)
    first = model.loss_
    model.fit(X, Y)
    assert model.loss_ < first
    assert len(model.loss_curve_) == 10
    with pytest.raises(ValueError, match="warm_start can only be used"):
        model.fit(X, np.minimum(Y, 1))
    with pytest.raises(ValueError, match="must stay as they were"):
        model.set_params(hidden_layer_sizes=(7,)).fit(X, Y)
    model.set_params(hidden_layer_sizes=(100,), solver="lbfgs").fit(X, Y)
    assert model.loss_ < first
    model.set_params(solver="sgd", early_stopping=True).fit(X, Y)
    assert len(model.validation_scores_) == 5


def test_early_stopping_returns_to_the_best_weights():
    model = MLPClassifier(early_stopping=True, learning_rate_init=0.05, n_iter_no_change=3, random_state=0).fit(X, Y)
    assert model.n_iter_ == len(model.validation_scores_) < 200
    assert model.best_validation_score_ == max(model.validation_scores_)
    with pytest.raises(ValueError, match="validation set is too small"):
        MLPClassifier(early_stopping=True, validation_fraction=0.001).fit(X, Y)


def test_convergence_warning():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\)"):
        MLPClassifier(max_iter=2).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 2 iteration"):
        MLPClassifier(solver="lbfgs", max_iter=2).fit(X, Y)


def test_verbose(capsys):
    MLPClassifier(max_iter=2, verbose=True, early_stopping=True).fit(X, Y)
    MLPRegressor(solver="lbfgs", max_iter=2, verbose=True).fit(X, Y)
    MLPClassifier(solver="sgd", learning_rate="adaptive", tol=10, n_iter_no_change=1, max_iter=60, verbose=True).fit(
        X, Y
    )
    out = capsys.readouterr().out
    for text in ("Iteration 2, loss = ", "Validation score: ", "Setting learning rate to ", "Stopping."):
        assert text in out


def test_a_learning_rate_that_is_too_small():
    model = MLPClassifier(solver="sgd", learning_rate="adaptive", tol=10, n_iter_no_change=1).fit(X, Y)
    assert model.n_iter_ < 30


# --- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_weights_are_repetitions(cls, solver):
    times = np.random.default_rng(0).integers(0, 4, len(X))
    y = Y if cls is MLPClassifier else Y / 2
    arguments = {"solver": solver, "batch_size": 1000, "max_iter": 10, "random_state": 0, "alpha": 0.5}
    if solver == "lbfgs":
        arguments["batch_size"] = "auto"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)
        weighted = cls(**arguments).fit(X, y, times)
        repeated = cls(**arguments).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    close(weighted, repeated, 1e-7)
    assert weighted.loss_ == pytest.approx(repeated.loss_)


def test_bad_weights():
    with pytest.raises(ValueError, match="must not be negative"):
        MLPClassifier().fit(X, Y, -np.ones(len(X)))
    with pytest.raises(ValueError, match="at least one non-zero"):
        MLPClassifier().fit(X, Y, np.zeros(len(X)))
    weights = np.zeros(len(X))
    weights[:3] = 1  # whole batches without weight
    model = MLPClassifier(batch_size=10, max_iter=3, random_state=0).fit(X, Y, weights)
    assert np.isfinite(model.loss_)


def test_routing_of_weights():
    weights = np.ones(len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier(max_iter=3).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        result = cross_validate(model, X, Y, params={"sample_weight": weights}, cv=3)
        assert len(result["test_score"]) == 3
        assert MLPClassifier().set_partial_fit_request(classes=True, sample_weight=True)


# --- classes and data ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ["a", "b", "c"], [-1, 5, 7], [0.0, 1.0, 2.0], [True, False], ["no", "yes"],
        np.array(["x", "yy", "z"], object), ["alone"],
    ],
)  # fmt: skip
def test_classes(names):
    names = np.asarray(names)
    y = names[np.minimum(Y, len(names) - 1)]
    model = MLPClassifier(max_iter=30, learning_rate_init=0.02, random_state=0).fit(X, y)
    assert model.classes_.tolist() == sorted(set(names.tolist()))
    prediction = model.predict(X)
    assert names.dtype in (prediction.dtype, object)
    assert (prediction == y).mean() > 0.9
    probability = model.predict_proba(X)
    assert probability.shape == (150, len(names))
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict_log_proba(X), np.log(probability))


def test_labels():
    y = np.column_stack([Y == 0, Y > 0, X[:, 0] > 0]).astype(int)
    model = MLPClassifier(max_iter=50, learning_rate_init=0.02, random_state=0).fit(X, y)
    assert model.out_activation_ == "logistic"
    assert model.predict(X).shape == model.predict_proba(X).shape == y.shape
    assert model.score(X, y) > 0.9
    sparse = clone(model).fit(csr_matrix(X), csr_matrix(y))
    close(sparse, model, 1e-12)
    np.testing.assert_array_equal(sparse.predict(X).toarray(), model.predict(X))
    with pytest.raises(ValueError, match="column of classes or a matrix"):
        model.partial_fit(X, Y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("kind", [csr_matrix, csc_matrix])
def test_sparse_samples(kind, shuffle, solver):
    arguments = {"max_iter": 5, "shuffle": shuffle, "solver": solver, "random_state": 0, "batch_size": 40}
    dense, sparse = MLPClassifier(**arguments).fit(X, Y), MLPClassifier(**arguments).fit(kind(X), Y)
    same(dense, sparse)
    np.testing.assert_array_equal(dense.predict_proba(X), sparse.predict_proba(kind(X)))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library):
    frames = pytest.importorskip(library)
    data = frames.DataFrame({f"f{i}": X[:, i] for i in range(4)})
    series = frames.Series(Y)
    model = MLPClassifier(max_iter=3, random_state=0).fit(data, series)
    assert model.feature_names_in_.tolist() == ["f0", "f1", "f2", "f3"]
    same(model, MLPClassifier(max_iter=3, random_state=0).fit(X, Y))
    model.predict(data)
    with pytest.warns(UserWarning, match="valid feature names"):
        model.predict(X)
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(max_iter=3)).set_output(transform="pandas")
    assert pipeline.fit(data, series).predict(data).shape == (150,)
    assert pipeline[-1].feature_names_in_.tolist() == ["f0", "f1", "f2", "f3"]


def test_predictions_in_parts():
    model = MLPRegressor(max_iter=2, random_state=0).fit(X, np.column_stack([Y, -Y]))
    many = np.tile(X, (9, 1))
    np.testing.assert_allclose(model.predict(many), np.tile(model.predict(X), (9, 1)), rtol=0, atol=1e-13)
    np.testing.assert_allclose(model.predict(X[:1]), model.predict(X)[:1], rtol=0, atol=1e-13)


def test_predictions_in_threads():
    model = MLPClassifier(max_iter=2, random_state=0, hidden_layer_sizes=(300, 300)).fit(X, Y)
    many = np.tile(X, (20, 1))
    expected, found = model.predict_proba(many), [None] * 4

    def predict(i):
        for _ in range(5):
            found[i] = model.predict_proba(many)

    threads = [threading.Thread(target=predict, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in found:
        np.testing.assert_array_equal(result, expected)


# --- an estimator among others -------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy], ids=["pickle", "deepcopy"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_copies_go_on_alike(make, solver):
    model = MLPClassifier(solver=solver, learning_rate="invscaling", random_state=0).partial_fit(
        X, Y, classes=[0, 1, 2]
    )
    other = make(model)
    same(model, other)
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))
    model.partial_fit(X, Y)
    assert not np.array_equal(model.coefs_[0], other.coefs_[0])
    other.partial_fit(X, Y)
    same(model, other)


def test_weights_that_are_written():
    model = MLPClassifier(max_iter=2, random_state=0).fit(X, Y)
    before = model.predict_proba(X)
    model.coefs_[1][...] = 0
    model.intercepts_[1][...] = 0
    np.testing.assert_allclose(model.predict_proba(X), 1 / 3)
    other = MLPClassifier(max_iter=2, random_state=0).fit(X, Y)
    model.coefs_, model.intercepts_ = other.coefs_, other.intercepts_
    np.testing.assert_array_equal(model.predict_proba(X), before)
    with pytest.raises(ValueError):
        model.coefs_ = other.coefs_[:1]


@pytest.mark.no_emulator
def test_grid_search():
    search = GridSearchCV(MLPClassifier(max_iter=5, random_state=0), {"alpha": [0.1, 1.0]}, n_jobs=2, cv=3)
    assert search.fit(X, Y).best_estimator_.predict(X).shape == (150,)


@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_activations_of_ours(activation):
    model = MLPClassifier(activation=activation, solver="lbfgs", random_state=0).fit(X, Y)
    assert model.score(X, Y) > 0.95


def test_huber():
    features, y = make_regression(200, 5, random_state=0)
    y /= y.std()
    y[::10] += 100  # outliers
    arguments = {"solver": "lbfgs", "hidden_layer_sizes": (), "max_iter": 1000, "random_state": 0}
    clean = np.delete(np.arange(200), np.arange(0, 200, 10))
    robust, squared = (MLPRegressor(loss, **arguments).fit(features, y) for loss in ("huber", "squared_error"))
    assert robust.score(features[clean], y[clean]) > 0.9 > squared.score(features[clean], y[clean])


def test_several_targets_of_huber_weigh_alike():
    # the gradient is that of the sum over outputs: a second copy of the target changes nothing for the first
    features, y = make_regression(100, 5, random_state=0)
    y /= y.std()
    arguments = {"solver": "sgd", "hidden_layer_sizes": (), "max_iter": 5, "shuffle": False, "random_state": 0}
    for loss in ("huber", "squared_error"):
        one, two = MLPRegressor(loss, **arguments), MLPRegressor(loss, **arguments)
        one.set_params(warm_start=True).fit(features, y)
        two.set_params(warm_start=True).fit(features, np.column_stack([y, y]))
        for model in (one, two):
            model.coefs_[0][...] = 0
            model.intercepts_[0][...] = 0
        one.fit(features, y)
        two.fit(features, np.column_stack([y, y]))
        np.testing.assert_allclose(two.coefs_[0], np.repeat(one.coefs_[0], 2, axis=1), atol=1e-12)
        assert two.loss_ == pytest.approx(one.loss_, rel=1e-3)


def test_errors():
    model = MLPClassifier()
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert not hasattr(model, "coefs_")
    with pytest.raises(ValueError, match=r"hidden_layer_sizes must be > 0"):
        MLPClassifier(hidden_layer_sizes=(3, 0)).fit(X, Y)
    with pytest.raises(TypeError, match="layers must be a sequence of integers"):
        MLPClassifier(hidden_layer_sizes=(3.5,)).fit(X, Y)
    with pytest.raises(ValueError, match="'poisson'"):
        MLPRegressor("poisson").fit(X, Y)
    with pytest.raises(ValueError, match="'activation' parameter"):
        MLPClassifier(activation="sigmoid").fit(X, Y)
    with pytest.raises(ValueError, match="Unknown label type"):
        MLPClassifier().fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"got shape \(150, 2\)"):
        MLPClassifier().fit(X, np.column_stack([Y, Y]))
    with pytest.warns(DataConversionWarning):
        MLPClassifier(max_iter=1).fit(X, Y[:, np.newaxis])
    with pytest.warns(UserWarning, match="going to be clipped"):
        MLPClassifier(max_iter=1, batch_size=151).fit(X, Y)
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        MLPRegressor(solver="sgd", learning_rate_init=1e6, random_state=0).fit(X, 1e6 * Y)


def test_interruption(monkeypatch):
    model = MLPClassifier(max_iter=50, random_state=0)

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("mlopt.estimators.solvers.AdamDescent.end_epoch", interrupt)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, Y)
    assert model.n_iter_ == 1
    assert model.predict(X).shape == (150,)
