#!/bin/bash
# Compares the lock files with the published advisories. Runs pip-audit in its own environment. Fails only if there is a
# finding. Without a network it reports that nothing was checked and succeeds, so offline builds work.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/python-packages.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/tools"
use_pip "$work/tools/bin/python"
if ! timeout 120 "${pip[@]}" install -qq pip-audit; then
    echo "audit: NOT CHECKED: pip-audit cannot be installed"
    exit 0
fi
options=(--strict --disable-pip --require-hashes --progress-spinner off)
failed=0
for lock in requirements*.lock; do
    # pip-audit exits with 1 for a finding and for an error. Its standard output has only findings.
    if findings=$(timeout 60 "$work/tools/bin/pip-audit" "${options[@]}" -r "$lock"); then
        echo "audit: $lock: no known vulnerability"
    elif [[ -n $findings ]]; then
        printf 'audit: %s:\n%s\n' "$lock" "$findings"
        failed=1
    else
        echo "audit: $lock: NOT CHECKED: see the message above"
    fi
done
exit "$failed"
