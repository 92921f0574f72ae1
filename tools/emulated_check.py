"""usage: emulated_check.py TIER: mlopt imports here, TIER is the best tier, and every tier agrees with reference."""

import sys

import numpy as np

import mlopt
from mlopt._kernels.core import kernel_report

expected = sys.argv[1]
tiers = mlopt.available_tiers()
assert tiers[:2] == ("reference", "generic"), tiers
assert mlopt.current_isa() == tiers[-1] == expected, (mlopt.current_isa(), tiers)

x = mlopt.empty_aligned(1003)
x[:] = np.random.default_rng(5).uniform(0.1, 3, x.size)
elementwise = {"unary": 1, "binary": 2, "ternary": 3}
checked = 0
for row in kernel_report():
    assert row["origin"][expected] in ("reference", *tiers), row
    if row["signature"] not in elementwise:
        continue
    operands = [x.astype(row["type"].replace("f32", "f4").replace("f64", "f8"))] * elementwise[row["signature"]]
    with mlopt.use_isa("reference"):
        wanted = getattr(mlopt, row["name"])(*operands)
    for tier in tiers[1:]:
        with mlopt.use_isa(tier):
            got = getattr(mlopt, row["name"])(*operands)
        np.testing.assert_array_max_ulp(got, wanted, maxulp=2 * row["bound"] + 1)
        checked += 1
assert checked > 0
print(f"{', '.join(tiers)}: {checked} kernels agree with reference")
