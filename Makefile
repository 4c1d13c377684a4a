# A fresh clone needs only make demo and make test. Each sets up what is missing.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test prepare compile-tests coverage bench fleet faults words clients torture install uninstall dist image devcontainer-feature lint format lock audit completions clean
.PHONY: runtime-venv test-venv fleet-venv torture-venv bench-venv

help:
	@echo "make demo  run the agent against a pretend cloud: no account, no network"
	@echo "make test  set up, then run the linters, the type checker and every test"
	@echo
	@echo "sudo make install          install agent, systemd units and completions to PREFIX=/usr/local (DESTDIR= for packages)"
	@echo "sudo make uninstall        remove them"
	@echo "make dist                  build the .deb, the .tar.gz, the wheel, the SBOM and the checksums in dist"
	@echo "make image                 build the container image registry-agent"
	@echo "make devcontainer-feature  build the dev container feature in dist/devcontainer-feature/registry-agent"
	@echo
	@echo "make torture      run the long campaigns: four hours (TORTURE=0.01 shortens them)"
	@echo "make bench        compare the agent with what people use instead: 90 minutes"
	@echo "make fleet        simulate a week of up to a million agents on one AWS account, with plots"
	@echo "make faults       write docs/faults.md from what the tests measure"
	@echo "make words        record what docker, aws and others print for each fault, in docs/warnings.md"
	@echo "make clients      try programs that read Docker's logins, and write docs/clients.md"
	@echo "make prepare      build what the tests need: packages, Debian trees, images (kept between runs)"
	@echo "make coverage     run the tests and show their branch coverage"
	@echo "make lint         run ruff and mypy"
	@echo "make format       format the code with ruff"
	@echo "make lock         pin the dependencies again, with hashes"
	@echo "make audit        compare the lock files with published advisories, if they can be reached"
	@echo "make completions  write the shell completions from the command line parser"
	@echo "make clean        remove what the other targets created in the checkout"

demo: runtime-venv
	@scripts/system-packages.sh demo
	@$(BIN)/registry-agent demo

# Tests run in parallel, because many of them wait. WORKERS=0 runs one after the other.
WORKERS ?= $(shell echo $$(($$(nproc) + 4)))
PYTEST := $(BIN)/pytest --numprocesses=$(WORKERS) --no-loadscope-reorder
# Each worker reads all test files. That takes a third of the time if they are compiled.
test coverage compile-tests: export PYTHONDONTWRITEBYTECODE :=

test: prepare
	@$(MAKE) --no-print-directory -j2 lint compile-tests
	@$(PYTEST)

# The workers start together. Without this, each of them would compile all test files.
compile-tests: test-venv
	@$(BIN)/pytest --collect-only -qq >/dev/null || true

# Build what takes long: packages, Debian trees, images. It is kept between runs.
prepare: test-venv
	@scripts/system-packages.sh test
	@$(BIN)/python -m tests.prepare

coverage: prepare
	@$(PYTEST) --cov --cov-report=term

torture: prepare torture-venv
	@$(BIN)/python -m tests.prepare torture
	@$(BIN)/pytest -m "torture or hypothesis" --hypothesis-profile long --timeout 0

# Measure with the agent's packages only: those of linters and tests change how long imports take.
bench: test-venv bench-venv
	@scripts/system-packages.sh bench
	@$(BIN)/python -m tests.prepare debian-12-enabled debian-13-aws pass-helper
	@$(BIN)/python -m bench --python .bench/bin/python $(BENCH)

fleet: fleet-venv
	@$(BIN)/python -m bench.fleet

faults: test-venv
	@FAULTS_DOCUMENT=1 $(BIN)/pytest -q tests/codes --ignore tests/codes/test_faults_document.py

words: test-venv
	@WORDS_DOCUMENT=1 $(BIN)/pytest -q tests/words/test_words.py -k agents_words

clients: prepare torture-venv
	@$(BIN)/python -m tests.prepare torture
	@CLIENTS_DOCUMENT=1 $(BIN)/pytest -q -m torture tests/torture/clients

# Both read PREFIX and DESTDIR. The first also reads PYTHON, UNITDIR and SYSTEMD_VERSION. make passes them on.
install:
	@scripts/install.sh

uninstall:
	@scripts/uninstall.sh

dist:
	@scripts/system-packages.sh dist
	@scripts/dist.sh dist

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

audit:
	@scripts/audit.sh

completions: test-venv
	@$(BIN)/python scripts/completions.py

clean:
	rm -rf $(VENV) .bench .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist
	find agent tests -type d -name __pycache__ -prune -exec rm -rf {} +

# Each does nothing if the environment already has what the lock files list.
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
