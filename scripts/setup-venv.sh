#!/bin/bash
# Creates a virtual environment with the project and exactly what the lock files list:
# setup-venv.sh DIRECTORY LOCKFILE...
# Does nothing if it is complete. Adds a lock file that it does not have. Starts from nothing if one of its lock files
# has changed, if a run was interrupted, or if the checkout or its Python has moved.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/python-packages.sh
venv=$1
shift
record=$venv/made-from # written last
unset "${!PYTHON@}"    # packages on a PYTHONPATH would count as installed

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }

main() {
    local lock recorded=() missing=()
    [[ ! -f $record ]] || mapfile -t recorded < <(awk 'NF == 2 && length($1) == 64 && $1 !~ /[^0-9a-f]/ { print $2 }' "$record")
    if [[ ! -f $record || $(description "${recorded[@]}" 2>/dev/null) != "$(<"$record")" ]]; then recorded=(); fi
    for lock in "$@"; do
        [[ " ${recorded[*]} " == *" $lock "* ]] || missing+=("$lock")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0

    [[ ${#recorded[@]} -gt 0 ]] || make_venv
    rm -f "$record"
    say "installing what ${missing[*]} list"
    use_pip "$venv/bin/python"
    install_locked "$venv/bin/python" "${missing[@]}"
    "${pip[@]}" install -qq --no-deps --no-build-isolation --no-index --editable .
    check_environment "$venv/bin/python" ||
        die "the packages in $venv are not compatible with each other: see the message above"
    description "${recorded[@]}" "${missing[@]}" >"$record"
}

# What an environment with these lock files is built from.
description() {
    pwd
    "$venv/bin/python" -IVV
    sha256sum "$@"
}

make_venv() {
    command -v python3 >/dev/null || die "python3 is missing; Python 3.11 or newer is needed"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$(command -v python3) is $(python3 --version); Python 3.11 or newer is needed"
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian and Ubuntu have a separate package for these.
        local package log
        package=python$(python3 -c 'import sys; print("{}.{}".format(*sys.version_info))')-venv
        [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null ||
            die "this python3 cannot create virtual environments; run: sudo apt-get install $package"
        say "installing $package"
        log=$(apt-get -qq update 2>&1 &&
            DEBIAN_FRONTEND=noninteractive apt-get -y -qq install --no-install-recommends "$package" 2>&1) || die "$log"
    fi
    say "creating the virtual environment $venv"
    python3 -m venv --clear "$venv"
}

main "$@"
