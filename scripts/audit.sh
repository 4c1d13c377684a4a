#!/bin/bash
# Compares the lock files with the published advisories: pip-audit, in an environment of its own. It needs the network.
# A package that cannot be checked fails, too: silence would look like success.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/python-packages.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/tools"
use_pip "$work/tools/bin/python"
"${pip[@]}" install -qq pip-audit
for lock in requirements*.lock; do
    echo "audit: $lock"
    "$work/tools/bin/pip-audit" --strict --disable-pip --require-hashes --progress-spinner off -r "$lock"
done
