#!/bin/bash
# Pins the dependencies, with hashes: what runs, what builds the package, and what each target of make needs besides.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

python3 -m venv "$tools"
"$tools/bin/pip" --disable-pip-version-check -qq install uv

# An earlier pin stays where it still fits; without the files, everything is taken anew. The constraints give a package
# the same version in every lock file, so that an environment can hold several.
pin() {
    "$tools/bin/uv" pip compile --quiet --no-header --universal --python-version 3.11 --generate-hashes \
        --output-file "$@"
}
pin requirements.lock pyproject.toml
pin requirements-dev.lock --constraint requirements.lock --group dev pyproject.toml
pin requirements-build.lock --constraint requirements-dev.lock - <<<$'hatchling\neditables'
pin requirements-fleet.lock --constraint requirements-dev.lock --group fleet
pin requirements-torture.lock --constraint requirements-dev.lock --group torture
