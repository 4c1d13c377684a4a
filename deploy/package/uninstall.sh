#!/bin/sh
# Removes what `install` has installed. The settings in /etc and the state stay.
set -eu
tree=/opt/registry-agent

[ "$(id -u)" = 0 ] || { echo "uninstall: only root can do this; run: sudo $0" >&2; exit 1; }

"$tree/share/package/before-removal" /usr/local
while read -r file; do
    rm -f "/$file"
done <"$tree/share/package/files"
for directory in share/doc/registry-agent/docs share/doc/registry-agent share/registry-agent/systemd share/registry-agent; do
    rmdir "/usr/local/$directory" 2>/dev/null || true # it has files of other programs
done
rm -rf "$tree"
[ ! -d /run/systemd/system ] || systemctl daemon-reload
echo "uninstall: removed registry-agent; settings in /etc/registry-agent and state in /var/lib/registry-agent stay"
