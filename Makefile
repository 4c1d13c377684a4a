# make demo and make test are all that a fresh clone needs; each sets up what it is missing.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test prepare coverage bench fleet faults words torture install uninstall image devcontainer-feature lint format lock completions clean
.PHONY: runtime-venv test-venv fleet-venv torture-venv bench-venv

help:
	@echo "make demo  the agent against an embedded pretend cloud: no account, no network"
	@echo "make test  the set-up, linters, types and every test"
	@echo
	@echo "sudo make install          agent, systemd units and completions into PREFIX=/usr/local; DESTDIR= for packages"
	@echo "sudo make uninstall        take them away again"
	@echo "make image                 the container image registry-agent"
	@echo "make devcontainer-feature  the dev container feature, into dist/devcontainer-feature/registry-agent"
	@echo
	@echo "make torture      the long campaigns: three hours; TORTURE=0.01 shortens them"
	@echo "make bench        the agent beside what people would use instead: an hour and a quarter"
	@echo "make fleet        a week of a thousand to a million agents on one AWS account, simulated, with plots"
	@echo "make faults       write docs/faults.md anew, from what the tests see"
	@echo "make words        measure anew what others say of each fault, into docs/warnings.md"
	@echo "make prepare      what the tests need: packages, Debian trees, images; kept between runs"
	@echo "make coverage     the tests with their branch coverage"
	@echo "make lint         ruff and mypy alone"
	@echo "make format       rewrite the code as ruff formats it"
	@echo "make lock         pin the dependencies anew, with hashes"
	@echo "make completions  write what shells complete anew, from the command line's parser"
	@echo "make clean        remove what the others made"

demo: runtime-venv
	@scripts/system-packages.sh demo
	@$(BIN)/registry-agent demo

# Tests run side by side, since many of them wait; WORKERS=0 runs one after the other.
WORKERS ?= $(shell echo $$(($$(nproc) + 1)))
PYTEST := $(BIN)/pytest --numprocesses=$(WORKERS) --no-loadscope-reorder

test: prepare lint
	@$(PYTEST)

# What the tests need and takes long to make, kept between runs: packages, Debian trees, images.
prepare: test-venv
	@scripts/system-packages.sh test
	@$(BIN)/python -m tests.prepare

coverage: prepare
	@$(PYTEST) --cov --cov-report=term

torture: prepare torture-venv
	@$(BIN)/pytest -m "torture or hypothesis" --hypothesis-profile long --timeout 0

# What is measured has what runs and nothing else: linters and tests bring packages that change what an import costs.
bench: test-venv bench-venv
	@scripts/system-packages.sh bench
	@$(BIN)/python -m tests.prepare debian-12-enabled
	@$(BIN)/python -m bench --python .bench/bin/python $(BENCH)

fleet: fleet-venv
	@$(BIN)/python -m bench.fleet

faults: test-venv
	@FAULTS_DOCUMENT=1 $(BIN)/pytest -q tests/codes --ignore tests/codes/test_faults_document.py

words: test-venv
	@WORDS_DOCUMENT=1 $(BIN)/pytest -q tests/words/test_words.py -k agents_words

# Both read PREFIX and DESTDIR, and the first PYTHON, UNITDIR and SYSTEMD_VERSION too: make hands them on.
install:
	@scripts/install.sh

uninstall:
	@scripts/uninstall.sh

image:
	docker build --tag registry-agent .

devcontainer-feature:
	@scripts/system-packages.sh portable
	@deploy/devcontainer/package.sh dist/devcontainer-feature

lint: test-venv
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: test-venv
	@$(BIN)/ruff check --fix --select I
	@$(BIN)/ruff format

lock:
	@scripts/lock.sh

completions: test-venv
	@$(BIN)/python scripts/completions.py

clean:
	rm -rf $(VENV) .bench .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist
	find agent tests -type d -name __pycache__ -prune -exec rm -rf {} +

# Each does nothing where the environment has what the lock files list.
RUNTIME_LOCKS := requirements.lock requirements-build.lock
TEST_LOCKS := $(RUNTIME_LOCKS) requirements-dev.lock

runtime-venv:
	@scripts/setup-venv.sh $(VENV) $(RUNTIME_LOCKS)

test-venv:
	@scripts/setup-venv.sh $(VENV) $(TEST_LOCKS)

fleet-venv:
	@scripts/setup-venv.sh $(VENV) $(TEST_LOCKS) requirements-fleet.lock

torture-venv:
	@scripts/setup-venv.sh $(VENV) $(TEST_LOCKS) requirements-torture.lock

bench-venv:
	@scripts/setup-venv.sh .bench $(RUNTIME_LOCKS)
	@.bench/bin/python -m compileall -q agent .bench/lib || true
