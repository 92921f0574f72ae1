import numpy as np
import pytest

import mlopt.verify
from mlopt._kernels.register import available_tiers, kernel_report
from mlopt.cli import main


def test_every_kernel_passes_on_every_tier():
    verdicts = mlopt.verify.verify()
    assert all(set(v.worst) == set(available_tiers()) for v in verdicts)
    assert [v for v in verdicts if not v.passed] == []


def test_no_family_is_left_out():
    families = {verdict.family for verdict in mlopt.verify.verify()}
    assert families >= {row["family"] for row in kernel_report()} - {"limits"}  # which measure, and compute nothing


def test_a_wrong_kernel_is_found(monkeypatch, capsys):
    def spoiled(row, tier, problem, call=mlopt.verify._call):
        results = call(row, tier, problem)
        if row["name"] == "exp" and tier != "reference":
            results[0][-1] = np.nextafter(results[0][-1], np.inf) * (1 + 1e-3)
        return results

    monkeypatch.setattr(mlopt.verify, "_call", spoiled)
    assert main(["verify"]) == 1
    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert "exp f32 on generic" in captured.err


@pytest.mark.parametrize("got", [np.nan, np.inf, 1.1])
def test_share_of_special_values(got):
    dtype = np.dtype(np.float64)
    assert mlopt.verify._share(np.array([got]), np.array([1.0]), None, 1.0, dtype) > 1
    assert mlopt.verify._share(np.array([got]), np.array([got]), None, 0.0, dtype) == 0
