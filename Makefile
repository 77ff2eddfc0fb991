# The two commands: `make reproduce` and `make test`. Everything else is a line of theirs.
PYTHON ?= python3
SCALE ?= quick
JOBS ?= 2
SHELL := bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: setup reproduce test lint report

setup: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@echo "Installing into .venv from requirements.lock; this takes a few minutes the first time."
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

reproduce: setup
ifdef TABLE
	python -m regard_lab.reproduce $(TABLE) --scale $(SCALE)
	python -m regard_lab.report
else
	python -m regard_lab.reproduce
endif

test: lint
	OMP_NUM_THREADS=1 python -m pytest -n $(JOBS) --dist loadfile --cov --cov-fail-under=90

lint: setup
	ruff check
	ruff format --check
	mypy
	lint-imports

report: setup
	python -m regard_lab.report
