#!/bin/bash
# A virtual environment with what the lock files pin, and the project itself: setup-venv.sh DIRECTORY LOCKFILE...
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
shift

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }

command -v python3 >/dev/null || die "python3 is missing; Python 3.11 or newer is needed"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$(command -v python3) is $(python3 --version); Python 3.11 or newer is needed"

if [[ ! -x $venv/bin/pip ]]; then
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian and Ubuntu keep these in a package of their own.
        package=python$(python3 -c 'import sys; print("{}.{}".format(*sys.version_info))')-venv
        [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null ||
            die "this python3 cannot make virtual environments; run: sudo apt-get install $package"
        say "installing $package"
        log=$(apt-get -qq update 2>&1 &&
            DEBIAN_FRONTEND=noninteractive apt-get -y -qq install --no-install-recommends "$package" 2>&1) || die "$log"
    fi
    say "making the virtual environment $venv"
    python3 -m venv "$venv"
fi

# -qq: errors alone; what pip warns of is the machine's own pip configuration.
pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input -qq)
export PIP_ROOT_USER_ACTION=ignore
locks=()
for lock in "$@"; do locks+=(--requirement "$lock"); done
say "installing what $* pin"
"${pip[@]}" install --require-hashes "${locks[@]}"
"${pip[@]}" install --no-deps --no-build-isolation --no-index --editable .
