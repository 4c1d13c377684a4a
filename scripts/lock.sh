#!/bin/bash
# Pins the dependencies with hashes: those of the agent, of the build, and of single targets of make.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

python3 -m venv "$tools"
"$tools/bin/pip" --disable-pip-version-check -qq install uv

# Earlier pins stay if they still fit. To update everything, remove the lock files first. With the constraints, a package
# has the same version in every lock file, so one environment can use several of them.
pin() {
    "$tools/bin/uv" pip compile --quiet --no-header --universal --python-version 3.11 --generate-hashes \
        --output-file "$@"
}
pin requirements.lock pyproject.toml
pin requirements-dev.lock --constraint requirements.lock --group dev pyproject.toml
pin requirements-build.lock --constraint requirements-dev.lock - <<<$'hatchling\neditables'
pin requirements-fleet.lock --constraint requirements-dev.lock --group fleet
pin requirements-torture.lock --constraint requirements-dev.lock --group torture
