# make demo and make test are all that a fresh clone needs; each sets up what it is missing.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test lint format lock clean

help:
	@echo "make demo    the agent against an embedded pretend cloud: no account, no network"
	@echo "make test    linters, types and every test"
	@echo "make lint    ruff and mypy alone"
	@echo "make format  rewrite the code as ruff formats it"
	@echo "make lock    pin the dependencies anew, with hashes"
	@echo "make clean   remove what the others made"

demo: $(VENV)/runtime.stamp
	@scripts/system-packages.sh demo
	@$(BIN)/registry-agent demo

test: $(VENV)/test.stamp
	@scripts/system-packages.sh test
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest --no-fold-skipped --cov --cov-report=term

lint: $(VENV)/test.stamp
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: $(VENV)/test.stamp
	@$(BIN)/ruff check --fix --select I
	@$(BIN)/ruff format

lock:
	@scripts/lock.sh

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist
	find agent tests -type d -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/runtime.stamp: requirements.lock requirements-build.lock
	@scripts/setup-venv.sh $(VENV) requirements.lock requirements-build.lock
	@touch $@

$(VENV)/test.stamp: requirements-dev.lock
	@scripts/setup-venv.sh $(VENV) requirements-dev.lock
	@touch $@ $(VENV)/runtime.stamp
