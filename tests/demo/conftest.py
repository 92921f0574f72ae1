import numpy as np
import pytest

from mlopt.concurrent import Histogram
from mlopt.demo.accuracy import Accuracy
from mlopt.demo.result import Check, Result, Stage, Training
from mlopt.demo.walk_forward import walk_forward


def make_stage(name, nanoseconds, rng, **targets):
    latency = Histogram()
    latency.record_all((nanoseconds * rng.lognormal(0, 0.2, 5000)).astype(np.int64))
    return Stage(name, f"the {name}", latency, **targets)


@pytest.fixture(scope="session")
def result():
    """A result as a run would make it, with a slow stage, a fast one, and one without a baseline."""
    rng = np.random.default_rng(5)
    return Result(
        bars={
            "source": "bars <of> somewhere", "count": 5030, "first": "1999-01-04", "last": "2018-12-31",
            "warm_up": 500, "trained": 3500, "served": 1500, "passes": 10,
        },
        network={
            "layers": [48, 64, 32, 1], "parameters": 5249, "activation": "relu", "output": "sigmoid",
            "loss": "bce", "optimizer": "AdamW", "dtype": "float32",
        },
        machine={
            "brand": "Some CPU", "cores": 2, "tier": "avx512", "python": "3.11.2", "numpy": "2.4.6", "mlopt": "0.1.0"
        },
        settings={"seed": 0, "check_every": 250, "baseline_every": 20},
        seconds={"features": 0.02, "training": 1.5, "serving": 4.0, "total": 6.1},
        clock_nanoseconds=41.0,
        stages=[
            make_stage("features", 700, rng, target=5e3, baseline=2.5e5, ratio=(300, 350, 400)),
            make_stage("scale", 150, rng),
            make_stage("inference", 4000, rng, target=3e3, baseline=3e4, ratio=(7, 7.5, 8)),
            make_stage("total", 5000, rng, baseline=4e5, ratio=(70, 80, 90), ratio_target=100),
        ],
        cold=make_stage("total", 9000, rng).latency,
        training=[
            Training(fold, "2001-01-02", "2004-05-06", [0.72, 0.70, 0.69], 0.694, Accuracy(700, 355 + i, 371))
            for i, fold in enumerate(walk_forward(500, 3500, 4))
        ],
        served=Accuracy(1500, 760, 820),
        checks=[Check("features", 60, 0, 3e-9, 1e-6), Check("gradient", 60, 1, 3e-3, 1e-4)],
        final_losses=[0.72, 0.70, 0.69],
    )  # fmt: skip
