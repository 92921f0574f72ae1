"""show_runtime and show_config: the reports name what was built and found."""

import json
import os
import subprocess
import sys

import numpy as np

import mlopt


def test_runtime_info():
    info = mlopt.runtime_info()
    json.dumps(info)
    assert info["mlopt"] == mlopt.__version__
    assert info["numpy"] == np.__version__
    assert info["tiers"]["available"] == list(mlopt.available_tiers())
    assert info["tiers"]["default"] in info["tiers"]["available"]
    assert info["cpu"]["cores"] >= 1
    before = info["pool"]["blocks_in_use"]
    x = mlopt.empty_aligned(10)
    assert mlopt.runtime_info()["pool"]["blocks_in_use"] == before + 1
    del x


def test_current_tier_is_the_context_s():
    with mlopt.use_isa("reference"):
        assert mlopt.runtime_info()["tiers"]["current"] == "reference"
        assert "reference here" in mlopt.runtime.format_runtime() or mlopt.available_tiers() == ("reference",)


def test_show_runtime_names_every_tier(capsys):
    mlopt.show_runtime()
    text = capsys.readouterr().out
    for word in ("reference", "generic", "avx512_vnni", "NumPy", "L1d", "slab pool", mlopt.__version__):
        assert word in text


def test_cap_is_shown():
    code = "import mlopt; mlopt.show_runtime(); assert mlopt.runtime_info()['tiers']['cap'] == 'generic'"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "MLOPT_MAX_ISA": "generic"}
    )
    assert done.returncode == 0, done.stderr
    assert "generic, capped by MLOPT_MAX_ISA=generic" in done.stdout


def test_config(capsys):
    info = mlopt.config_info()
    json.dumps(info)
    assert info["version"] == mlopt.__version__
    assert info["generic_bytes"] in (16, 32, 64)
    assert set(info["tier_flags"]) >= {"reference", "generic"}
    assert not any("-march=native" in flags or "-ffast-math" in flags for flags in info["tier_flags"].values())
    if "avx512" in info["tier_flags"]:
        assert "-mavx512f" in info["tier_flags"]["avx512"]
        assert not any(flag.startswith("-mavx") for flag in info["tier_flags"]["generic"])
    mlopt.show_config()
    text = capsys.readouterr().out
    assert info["compiler_version"] in text
    assert "avx512f" in text or "avx512" not in info["tier_flags"]


def test_info_is_a_copy():
    mlopt.config_info()["tier_flags"]["generic"].append("-x")
    assert "-x" not in mlopt.config_info()["tier_flags"]["generic"]
