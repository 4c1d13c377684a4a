# shellcheck shell=bash disable=SC2034 # what is set here is used by those who source it
# Sourced by install.sh and uninstall.sh: where things go, and the list of what was put there.
set -euo pipefail
name=$(basename "$0" .sh)
root=
[[ -z ${DESTDIR:-} ]] || root=$(realpath -m -- "$DESTDIR")
root=${root%/}
cd "$(dirname "$0")/.."
# What is installed can be read by everybody, whatever the umask of whoever installs it.
umask 022

say() { echo "$name: $*"; }
die() { echo "$name: $*" >&2; exit 1; }

# These paths are written into units and into the first lines of scripts, which know no quotes.
plain() {
    [[ $2 =~ ^/[A-Za-z0-9/._+-]*$ ]] || die "$1 must be an absolute path of letters, digits and / . _ + -, not '$2'"
    realpath -ms "$2"
}

prefix=$(plain PREFIX "${PREFIX:-/usr/local}")
prefix=${prefix%/}
link=$prefix/lib/registry-agent # leads to the version in use
versions=$link.versions
command=$prefix/bin/registry-agent
helper=$prefix/bin/docker-credential-registry-agent
every_path=/usr/bin/docker-credential-registry-agent # some programs that run docker have no /usr/local/bin on PATH
manifest=$prefix/share/registry-agent/manifest
place=$root${prefix:-/}

[[ -n $root || $EUID -eq 0 ]] ||
    die "only root may do that here: sudo make $name (DESTDIR=... makes a tree for packaging instead)"

systemd_runs() { [[ -z $root && -d /run/systemd/system ]]; }

# One at a time. A directory can be locked without leaving a file behind.
alone() {
    exec 9<"$1"
    flock --nonblock 9 || die "another install or uninstall is at work in $1"
}

# The manifest holds its state, then a line for each file and for each directory that was made for them.
state='' files=() directories=()
read_manifest() {
    local kind value owner mode
    [[ -f $root$manifest ]] || return 0
    # One open file: nobody can replace it between the check and the reading.
    exec 8<"$root$manifest"
    read -r owner mode < <(stat -Lc '%u %a' /dev/fd/8)
    [[ $owner == "$EUID" && $((8#$mode & 8#22)) -eq 0 ]] ||
        die "$root$manifest can be written by another user, who could choose what is removed; nothing is done"
    while read -r kind value; do
        case $kind in
            state) state=$value ;;
            file) check_inside "$value" && files+=("$value") ;;
            directory) check_inside "$value" && directories+=("$value") ;;
        esac
    done <&8
    exec 8<&-
}

# Neither `..` nor a link may lead out of the tree.
check_inside() {
    local parent
    parent=$(realpath -m -- "$(dirname -- "$root$1")")
    [[ $1 == "$(realpath -ms -- "/$1")" && ${parent%/}/ == "$root"/* ]] ||
        die "$root$manifest names $1, which leads out of ${root:-/}; nothing is done"
}

# Those that were made by us and hold nothing any more; the deepest first.
remove_empty_directories() {
    local path
    for path in $(printf '%s\n' "$@" | sort -ru); do
        rmdir "$root$path" 2>/dev/null || true # somebody else's files are in it
    done
}
