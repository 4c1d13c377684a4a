#!/bin/bash
# Pins the dependencies, with hashes: what runs, what tests and linters need beside, and what builds the package.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

python3 -m venv "$tools"
"$tools/bin/pip" --disable-pip-version-check -qq install uv

# An earlier pin stays where it still fits; without the files, everything is taken anew.
pin() {
    "$tools/bin/uv" pip compile --quiet --no-header --universal --python-version 3.11 --generate-hashes \
        --output-file "$@"
}
pin requirements.lock pyproject.toml
pin requirements-dev.lock --constraint requirements.lock --group dev pyproject.toml
pin requirements-build.lock --constraint requirements-dev.lock - <<<$'hatchling\neditables'
