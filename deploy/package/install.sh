#!/bin/sh
# Installs the agent from this directory into /opt/registry-agent and /usr/local. Run it as root, and again to upgrade.
# It needs a shell and the usual small programs, those of busybox too. It needs no network.
set -eu
umask 022
cd "$(dirname "$0")"
tree=/opt/registry-agent

[ "$(id -u)" = 0 ] || { echo "install: only root may do that: sudo $0" >&2; exit 1; }

# What an earlier version has put into place and this one does not.
if [ -e "$tree/share/package/files" ]; then
    while read -r file; do
        [ -e "root/$file" ] || [ -L "root/$file" ] || rm -f "/$file"
    done <"$tree/share/package/files"
fi

# cp without -p: whoever unpacked the archive does not own what is installed. Whole or not at all.
mkdir -p /opt
rm -rf "$tree.new" "$tree.old"
cp -R "root$tree" "$tree.new"
[ ! -e "$tree" ] || mv "$tree" "$tree.old"
mv "$tree.new" "$tree"
rm -rf "$tree.old"

(cd root && find usr -type f -o -type l) | while read -r file; do
    mkdir -p "/${file%/*}"
    rm -f "/$file.new"
    cp -R "root/$file" "/$file.new"
    mv -f "/$file.new" "/$file"
done

"$tree/share/package/after-install" /usr/local
echo "install: $("$tree/bin/registry-agent" --version) is in $tree; to remove it: sudo $tree/share/package/uninstall"
if [ -d /run/systemd/system ]; then
    echo "install: start it, now and at each boot: systemctl enable --now registry-agent@USER.service," \
        "with the user who runs docker"
else
    echo "install: no systemd runs here; start it as the user who runs docker: registry-agent run"
fi
