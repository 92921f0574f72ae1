"""TruncatedSVD: scikit-learn's checks, and scikit-learn's results."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn import decomposition
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import mlopt
from mlopt.estimators import TruncatedSVD


@parametrize_with_checks([TruncatedSVD(), TruncatedSVD(n_components=1, n_iter=2, tol=1e-3)])
@pytest.mark.filterwarnings("ignore:the error may be:RuntimeWarning")
def test_check(estimator, check):
    check(estimator)


def samples(sparse, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = scipy.sparse.random_array((120, 80), density=0.2, format="csr", rng=rng).astype(dtype)
    return X if sparse else X.toarray()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_of_sklearn(sparse, dtype):
    X = samples(sparse, dtype)
    ours = TruncatedSVD(8, n_iter=12, random_state=0)
    theirs = decomposition.TruncatedSVD(8, n_iter=40, random_state=0)
    tolerance = {"rtol": 1e-2, "atol": 1e-3} if dtype == np.float32 else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(ours.fit_transform(X), theirs.fit_transform(X), **tolerance)
    for name in ("components_", "explained_variance_", "explained_variance_ratio_", "singular_values_"):
        found, expected = getattr(ours, name), getattr(theirs, name)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, **tolerance, err_msg=name)
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), **tolerance)
    np.testing.assert_allclose(
        ours.inverse_transform(ours.transform(X)), theirs.inverse_transform(theirs.transform(X)), **tolerance
    )
    assert ours.n_features_in_ == 80
    assert ours.get_feature_names_out().tolist() == [f"truncatedsvd{i}" for i in range(8)]


def test_error_bound_and_tol():
    X = samples(False)
    model = TruncatedSVD(70, tol=2.5, random_state=0).fit(X)
    assert 1 < len(model.components_) < 70
    left = np.linalg.norm(X - model.inverse_transform(model.transform(X)), 2)
    assert left <= model.error_bound_ * (1 + 1e-9) <= 2.5
    assert len(model.get_feature_names_out()) == len(model.components_)
    with pytest.warns(RuntimeWarning, match="with all 5 singular values"):
        TruncatedSVD(5, tol=0.01, random_state=0).fit(X)


def test_in_a_pipeline_and_pickled():
    X = samples(False)
    model = make_pipeline(StandardScaler(), TruncatedSVD(3, random_state=0)).set_output(transform="pandas")
    frame = model.fit_transform(X)
    assert frame.columns.tolist() == ["truncatedsvd0", "truncatedsvd1", "truncatedsvd2"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X), model.transform(X))


def test_too_many_components():
    with pytest.raises(ValueError, match=r"n_components\(81\) must be <= n_features\(80\)"):
        TruncatedSVD(81).fit(samples(True))
    assert TruncatedSVD(80, random_state=0).fit(samples(True)[:50]).components_.shape == (50, 80)


def test_same_random_state_gives_the_same():
    X = samples(True)
    first, second = (TruncatedSVD(4, random_state=3).fit(X).components_ for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_lazy_name():
    assert mlopt.TruncatedSVD is TruncatedSVD
    assert "TruncatedSVD" not in mlopt.__all__
    assert "TruncatedSVD" in dir(mlopt)
