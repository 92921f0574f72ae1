# What a contributor and the CI run; `make help` lists it.  Everything happens in .venv and build/.

PYTHON ?= python3
PYTEST_ARGS ?=
SOAK_ARGS ?= --seconds 60

VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml meson.build meson.options README.md \
           $(shell find mlopt -type f -not -name '*.pyc' -not -path '*/__pycache__*')
# or the source tree would be imported in place of what was built
export PYTHONSAFEPATH := 1

.PHONY: help dev demo test test-peers test-ulp test-asan test-tsan test-emulated test-freethreaded soak lint format docs bench bench-smoke clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

# ------------------------------------------------------------------------------------------------
# The environment: .venv/.build has the build requirements, .venv/.with-X has mlopt with the extra X.
# An editable install (make dev) stays editable whatever is installed after it.

$(VENV)/.build: pyproject.toml tools/install.sh
	tools/install.sh --build "$(PYTHON)"

$(VENV)/.with-%: $(SOURCES) | $(VENV)/.build
	tools/install.sh $*

dev: | $(VENV)/.build ## .venv with an editable install and all tools
	tools/install.sh --editable dev

# ------------------------------------------------------------------------------------------------

demo: $(VENV)/.with-demo ## the main job on real market bars; writes mlopt-report/
	$(BIN)/mlopt demo

test: $(VENV)/.with-test ## the test suite
	$(BIN)/python -m pytest -m "not peer" $(PYTEST_ARGS)

test-peers: $(VENV)/.with-test $(VENV)/.with-peers ## parity with other libraries
	tools/install.sh --torch
	$(BIN)/python -m pytest -m peer $(PYTEST_ARGS)

test-asan: $(VENV)/.with-test ## the test suite under AddressSanitizer and UndefinedBehaviorSanitizer
	PYTHON=$(CURDIR)/$(BIN)/python tools/test_asan.sh $(PYTEST_ARGS)

test-ulp: $(VENV)/.with-test ## exp, log, tanh, sigmoid, erf on all 2^32 float32 patterns, on every tier
	PYTHONPATH=tests $(BIN)/python -m kernels.every_float32

test-tsan: ## the lock-free structures under ThreadSanitizer
	tools/test_tsan.sh

test-emulated: $(VENV)/.with-test ## kernels on emulated processors without AVX-512, without AVX
	PYTHON=$(CURDIR)/$(BIN)/python tools/test_emulated.sh $(PYTEST_ARGS)

test-freethreaded: ## the test suite on a Python without the GIL: PYTHON_FREETHREADED=python3.13t
	tools/test_freethreaded.sh $(PYTEST_ARGS)

soak: $(VENV)/.with-demo ## everything at once under load for a minute; SOAK_ARGS="--hours 24" for a day
	$(BIN)/mlopt soak --no-progress $(SOAK_ARGS)

lint: $(VENV)/.with-lint ## ruff, cython-lint, clang-format, mypy
	PATH=$(CURDIR)/$(BIN):$$PATH tools/lint.sh

format: $(VENV)/.with-lint ## format Python and C
	PATH=$(CURDIR)/$(BIN):$$PATH tools/lint.sh --fix

docs: $(VENV)/.with-docs ## docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.with-bench ## asv benchmarks of this commit
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE PATH=$(CURDIR)/$(BIN):$$PATH tools/bench.sh # they would lame a peer

bench-smoke: $(VENV)/.with-bench ## every benchmark imports, one of each kind runs
	PYTHON=$(CURDIR)/$(BIN)/python tools/asv_smoke.sh

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist mlopt-report mlopt-soak docs/_build docs/api/generated asv_bench/env asv_bench/html
