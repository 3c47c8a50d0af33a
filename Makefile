# `make demo` runs the main job on a clean machine, `make test` checks everything; both need Python 3.11 or newer and make.
# PYTHON=/path/to/python picks the interpreter that .venv is made with.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test lint test-fast test-most test-slow ray-faults wheel docs clean

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

help:
	@echo 'make demo       install into .venv and decompose a real model on real photographs'
	@echo 'make test       install into .venv, then lint, types, layers, all tests but the long ones, a built wheel'
	@echo 'make test-fast  most tests, in some minutes: what to run all the time'
	@echo 'make test-slow  the tests left out of `make test`, properties on more examples; log in docs/logs/test-slow.log'
	@echo 'make ray-faults twenty faults of each kind on a two-node Ray cluster; log in docs/logs/ray-faults.txt'
	@echo 'make docs       build the documentation into site/'
	@echo 'make clean      remove .venv, caches and everything built (runs/ stays)'

demo: .venv/installed-demo
	$(BIN)/spectrobe demo

test: lint test-most wheel

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports

test-fast: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -m 'not slow' -n auto --dist loadfile

test-most: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -m 'not long' -n auto --dist loadfile --durations=25

test-slow: .venv/installed-dev
	@mkdir -p docs/logs
	HYPOTHESIS_PROFILE=thorough $(BIN)/pytest -q -rA -m 'long or hypothesis' --timeout=3600 --durations=0 2>&1 | tee docs/logs/test-slow.log

ray-faults: .venv/installed-dev
	@mkdir -p docs/logs
	RAY_FAULTS=docs/logs/ray-faults.txt $(BIN)/pytest -v -s -m long tests/engine/test_ray_faults.py

wheel: .venv/installed-dev
	scripts/try_wheel.sh $(BIN)/python

docs: .venv/installed-docs
	$(BIN)/mkdocs build --strict

# One stamp an extra, renewed when pyproject.toml changes: a second `make` installs nothing.
.venv/installed-%: pyproject.toml | .venv/pyvenv.cfg
	$(PIP) install --editable '.[$*]'
	@touch $@

.venv/pyvenv.cfg:
	@python="$$(scripts/find_python.sh $(PYTHON))"; echo "$$python -m venv .venv"; "$$python" -m venv .venv

clean:
	rm -rf .venv site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
