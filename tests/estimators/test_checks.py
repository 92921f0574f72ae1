"""scikit-learn's own checks of estimators, all of them."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from mlopt.estimators import MLPClassifier, MLPRegressor

ESTIMATORS = [
    MLPClassifier(), MLPClassifier(solver="lbfgs", alpha=0.1),
    MLPRegressor(), MLPRegressor(loss="huber", solver="sgd"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS)
def test_check(estimator, check):
    check(estimator)
