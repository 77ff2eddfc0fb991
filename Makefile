# The two commands: `make reproduce` and `make test`. Everything else is a line of theirs; `make help` lists all.
PYTHON ?= python3
SCALE ?= quick
JOBS ?= 2
SHELL := bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup reproduce test lint report

help: ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | while IFS=$$'\t' read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done
	@echo "  TABLE=paper/table SCALE=quick|laptop|paper go with reproduce, JOBS=2 with test, PYTHON=python3 with setup"

setup: .venv/installed ## .venv from requirements.lock

.venv/installed: requirements.lock pyproject.toml
	@echo "Installing into .venv from requirements.lock; this takes a few minutes the first time."
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

reproduce: setup ## run what is missing, of TABLE=paper/table at SCALE or of everything in params.yaml, and write the report
ifdef TABLE
	python -m regard_lab.reproduce $(TABLE) --scale $(SCALE)
	python -m regard_lab.report
else
	python -m regard_lab.reproduce
endif

test: lint ## ruff, mypy, the layer contracts, all tests
	OMP_NUM_THREADS=1 python -m pytest -n $(JOBS) --dist loadfile --cov --cov-fail-under=90

lint: setup ## ruff, mypy, the layer contracts
	ruff check
	ruff format --check
	mypy
	lint-imports

report: setup ## reports/, from the results that are there
	python -m regard_lab.report
