#!/bin/sh
# Installs the agent from this directory in /opt/registry-agent and /usr/local. Run it as root. To upgrade, run it again.
# It needs a shell and the usual small programs, such as those of busybox. It needs no network.
set -eu
umask 022
cd "$(dirname "$0")"
tree=/opt/registry-agent
made=$tree/share/package/directories # those that did not exist before

die() { echo "install: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "only root can do this; run: sudo $0"
! dpkg-query --search "$tree/bin/registry-agent" >/dev/null 2>&1 ||
    die "the package registry-agent is installed; remove it first: sudo dpkg --remove registry-agent"
# shellcheck source-path=SCRIPTDIR source=other.sh
. root/opt/registry-agent/share/package/other
other=$(other_agent)
[ -z "$other" ] ||
    die "'make install' has installed an agent in ${other%/lib/*/bin/*}; remove it first:" \
        "sudo make uninstall PREFIX=${other%/lib/*/bin/*}. Its state and logins stay"

# put FILE: replaces the file in one step. cp without -p, so that it belongs to root.
put() {
    make_directory "/${1%/*}" && rm -f "/$1.new" && cp -R "root/$1" "/$1.new" && mv -f "/$1.new" "/$1"
}

make_directory() {
    [ ! -d "$1" ] || return 0
    make_directory "${1%/*}" && mkdir "$1" && echo "$1" >>"$made"
}

# put_for_all FILE: some programs run docker without /usr/local/bin on their PATH. Where /usr is read-only, the others
# still work.
put_for_all() {
    if [ -e "/$1" ] && [ "$(readlink "/$1")" != "$(readlink "root/$1")" ]; then
        echo "install: /$1 exists already, and stays"
    elif ! put "$1"; then
        echo "install: without /$1, only programs with /usr/local/bin on their PATH can get logins from memory"
    fi
}

# Exchanges the new directory with the former one in one step, so that docker finds its credential helper at any time.
# The former interpreter does this. Some file systems cannot; then the directory is missing for a moment.
exchange() {
    "$tree/libexec/python3" -IB - "$tree.new" "$tree" 2>/dev/null <<'END'
import sys
from pathlib import Path

from agent.edge.renameat2 import exchange

exchange(Path(sys.argv[1]), Path(sys.argv[2]))
END
}

# Remove the files of an earlier version that this one does not have.
if [ -e "$tree/share/package/files" ]; then
    while read -r file; do
        [ -e "root/$file" ] || [ -L "root/$file" ] || rm -f "/$file"
    done <"$tree/share/package/files"
fi

mkdir -p /opt
rm -rf "$tree.new" "$tree.old"
cp -R "root$tree" "$tree.new"
if [ -e "$made" ]; then cp "$made" "$tree.new/share/package/directories"; else : >"$tree.new/share/package/directories"; fi
if ! exchange; then
    [ ! -e "$tree" ] || mv "$tree" "$tree.old"
    mv "$tree.new" "$tree"
fi
rm -rf "$tree.new" "$tree.old"

(cd root && find usr -type f -o -type l) | while read -r file; do
    case $file in
        usr/bin/*) put_for_all "$file" ;;
        *) put "$file" ;;
    esac
done

"$tree/share/package/after-install" /usr/local
echo "install: $("$tree/bin/registry-agent" --version) is installed in $tree;" \
    "to remove it, run: sudo $tree/share/package/uninstall"
if [ -d /run/systemd/system ]; then
    echo "install: to start it, now and at each boot, for the user who runs docker:" \
        "sudo systemctl enable --now registry-agent@USER.service"
else
    echo "install: systemd is not running here; start the agent as the user who runs docker: registry-agent run"
fi
