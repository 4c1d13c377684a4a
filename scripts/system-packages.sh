#!/bin/bash
# Installs the system packages for `demo`, `test`, `bench`, `portable` (the self-contained directory) or `dist`, as root
# on Debian or Ubuntu. Otherwise it lists what is missing and fails. For `test` it succeeds: tests whose program is
# missing are skipped, or fail if CI is true.
set -euo pipefail
purpose=$1
table=$(dirname "$0")/system-packages.txt

have() {
    case $1 in
        python3-venv) /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null ;; # a library has no program to look for
        *) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
    esac
}

missing=()
while read -r program purposes packages; do
    [[ $program != \#* && ,$purposes, == *,$purpose,* ]] || continue
    have "$program" && continue
    missing+=("$program:$packages")
done <"$table"
((${#missing[@]})) || exit 0

# Prints the first of these packages that this distribution has.
chosen() {
    local package
    for package in $1; do
        if apt-cache show --quiet=0 "$package" >/dev/null 2>&1; then echo "$package"; return; fi
    done
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    apt-get -qq update >"$log" 2>&1 || cat "$log" >&2
    install=()
    for row in "${missing[@]}"; do install+=($(chosen "${row#*:}")); done
    if ((${#install[@]})); then
        echo "packages: installing $(printf '%s\n' "${install[@]}" | sort -u | paste -sd' ')"
        DEBIAN_FRONTEND=noninteractive apt-get -y -qq install --no-install-recommends "${install[@]}" >"$log" 2>&1 ||
            cat "$log" >&2
    fi
    hash -r
fi

absent=()
wanted=()
for row in "${missing[@]}"; do
    program=${row%%:*}
    have "$program" && continue
    absent+=("$program")
    packages=${row#*:}
    wanted+=("$(chosen "$packages" 2>/dev/null || true)")
    [[ -n ${wanted[-1]} ]] || wanted[-1]=${packages##* }
done
((${#absent[@]})) || exit 0

echo "packages: missing: ${absent[*]}"
echo "packages: to install them, run: sudo apt-get install --no-install-recommends $(printf '%s\n' "${wanted[@]}" | sort -u | paste -sd' ')"
if [[ $purpose != test ]]; then exit 1; fi
if [[ ${CI:-} != true ]]; then echo "packages: the tests that need them are skipped"; fi
