#!/bin/sh
# Installs the agent from this directory in /opt/registry-agent and /usr/local. Run it as root. To upgrade, run it again.
# It needs a shell and the usual small programs, such as those of busybox. It needs no network.
set -eu
umask 022
cd "$(dirname "$0")"
tree=/opt/registry-agent

[ "$(id -u)" = 0 ] || { echo "install: only root can do this; run: sudo $0" >&2; exit 1; }

# Remove the files of an earlier version that this one does not have.
if [ -e "$tree/share/package/files" ]; then
    while read -r file; do
        [ -e "root/$file" ] || [ -L "root/$file" ] || rm -f "/$file"
    done <"$tree/share/package/files"
fi

# cp without -p, so that the installed files belong to root. The directory is replaced in one step.
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
echo "install: $("$tree/bin/registry-agent" --version) is installed in $tree;" \
    "to remove it, run: sudo $tree/share/package/uninstall"
if [ -d /run/systemd/system ]; then
    echo "install: to start it, now and at each boot, for the user who runs docker:" \
        "sudo systemctl enable --now registry-agent@USER.service"
else
    echo "install: systemd is not running here; start the agent as the user who runs docker: registry-agent run"
fi
