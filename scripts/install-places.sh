# shellcheck shell=bash disable=SC2034 # the scripts that source this file use the variables
# Sourced by install.sh and uninstall.sh: the paths, and the manifest of the installed files.
set -euo pipefail
name=$(basename "$0" .sh)
root=
[[ -z ${DESTDIR:-} ]] || root=$(realpath -m -- "$DESTDIR")
root=${root%/}
cd "$(dirname "$0")/.."
# Everybody can read the installed files, whatever the umask of the person who installs them.
umask 022

say() { echo "$name: $*"; }
die() { echo "$name: $*" >&2; exit 1; }

# These paths appear in units and in the first lines of scripts, where nothing can be quoted.
plain() {
    [[ $2 =~ ^/[A-Za-z0-9/._+-]*$ ]] || die "$1 must be an absolute path of letters, digits and / . _ + -, not '$2'"
    realpath -ms "$2"
}

prefix=$(plain PREFIX "${PREFIX:-/usr/local}")
prefix=${prefix%/}
link=$prefix/lib/registry-agent # points to the version in use
versions=$link.versions
command=$prefix/bin/registry-agent
helper=$prefix/bin/docker-credential-registry-agent
every_path=/usr/bin/docker-credential-registry-agent # some programs run docker without /usr/local/bin on the PATH
declare -A links=([$every_path]=$helper)
links[$command]=../lib/registry-agent/bin/registry-agent
links[$helper]=../lib/registry-agent/bin/docker-credential-registry-agent # also with PREFIX=/usr
manifest=$prefix/share/registry-agent/manifest
place=$root${prefix:-/}

[[ -n $root || $EUID -eq 0 ]] ||
    die "only root can do this here; run: sudo make $name (to build a tree for packaging instead, set DESTDIR)"

systemd_runs() { [[ -z $root && -d /run/systemd/system ]]; }

# Only one install or uninstall runs at a time. Locking the directory leaves no lock file behind.
alone() {
    exec 9<"$1"
    flock --nonblock 9 || die "another install or uninstall is running in $1; try again when it has finished"
}

# The manifest has its state in the first line, then one line for each installed file and created directory.
state='' files=() directories=()
read_manifest() {
    local kind value owner mode
    [[ -f $root$manifest ]] || return 0
    # Check and read the same open file, so that nobody can replace it in between.
    exec 8<"$root$manifest"
    read -r owner mode < <(stat -Lc '%u %a' /dev/fd/8)
    [[ $owner == "$EUID" && $((8#$mode & 8#22)) -eq 0 ]] ||
        die "another user can write to $root$manifest and could choose what is removed; nothing was changed"
    while read -r kind value; do
        case $kind in
            state) state=$value ;;
            file) check_inside "$value" && files+=("$value") ;;
            directory) check_inside "$value" && directories+=("$value") ;;
        esac
    done <&8
    exec 8<&-
}

# Neither `..` nor a link may point outside the tree.
check_inside() {
    local parent
    parent=$(realpath -m -- "$(dirname -- "$root$1")")
    [[ $1 == "$(realpath -ms -- "/$1")" && ${parent%/}/ == "$root"/* ]] ||
        die "$root$manifest names $1, which is outside ${root:-/}; nothing was changed"
}

is_ours() { [[ -L $root$1 && $(readlink "$root$1") == "${links[$1]}" ]]; }

# Remove installed files and links, but not what a package or another installation has put there since.
remove_files() {
    local path owned=
    [[ -n $root ]] || owned=$(dpkg-query --search "$@" 2>/dev/null | sed 's/^[^/]*: //') || true
    for path in "$@"; do
        [[ $'\n'$owned$'\n' != *$'\n'$path$'\n'* ]] || continue
        [[ -z ${links[$path]:-} ]] || is_ours "$path" || continue
        rm -f "$root$path" || [[ $path == "$every_path" ]] # where /usr is read-only now, rm says so
    done
}

# Remove those of the directories that are empty, the deepest first.
remove_empty_directories() {
    local path
    for path in $(printf '%s\n' "$@" | sort -ru); do
        rmdir "$root$path" 2>/dev/null || true # it has files of other programs
    done
}
