# make demo and make test are all that a fresh clone needs; each sets up what it is missing.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test bench fleet faults words torture install uninstall image devcontainer-feature lint format lock completions clean

help:
	@echo "make demo  the agent against an embedded pretend cloud: no account, no network"
	@echo "make test  linters, types and every test"
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
	@echo "make lint         ruff and mypy alone"
	@echo "make format       rewrite the code as ruff formats it"
	@echo "make lock         pin the dependencies anew, with hashes"
	@echo "make completions  write what shells complete anew, from the command line's parser"
	@echo "make clean        remove what the others made"

demo: $(VENV)/runtime.stamp
	@scripts/system-packages.sh demo
	@$(BIN)/registry-agent demo

test: $(VENV)/test.stamp
	@scripts/system-packages.sh test
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest --cov --cov-report=term

torture: $(VENV)/test.stamp
	@scripts/system-packages.sh test
	@$(BIN)/pytest -m "torture or hypothesis" --hypothesis-profile long --timeout 0

# What is measured has what runs and nothing else: linters and tests bring packages that change what an import costs.
bench: $(VENV)/test.stamp .bench/runtime.stamp
	@scripts/system-packages.sh bench
	@$(BIN)/python -m bench --python .bench/bin/python $(BENCH)

fleet: $(VENV)/test.stamp
	@$(BIN)/python -m bench.fleet

faults: $(VENV)/test.stamp
	@FAULTS_DOCUMENT=1 $(BIN)/pytest -q tests/codes --ignore tests/codes/test_faults_document.py

words: $(VENV)/test.stamp
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

lint: $(VENV)/test.stamp
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: $(VENV)/test.stamp
	@$(BIN)/ruff check --fix --select I
	@$(BIN)/ruff format

lock:
	@scripts/lock.sh

completions: $(VENV)/test.stamp
	@$(BIN)/python scripts/completions.py

clean:
	rm -rf $(VENV) .bench .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist
	find agent tests -type d -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/runtime.stamp: requirements.lock requirements-build.lock
	@scripts/setup-venv.sh $(VENV) requirements.lock requirements-build.lock
	@touch $@

.bench/runtime.stamp: requirements.lock requirements-build.lock
	@scripts/setup-venv.sh .bench requirements.lock requirements-build.lock
	@.bench/bin/python -m compileall -q agent .bench/lib || true
	@touch $@

$(VENV)/test.stamp: requirements-dev.lock
	@scripts/setup-venv.sh $(VENV) requirements-dev.lock
	@touch $@ $(VENV)/runtime.stamp
