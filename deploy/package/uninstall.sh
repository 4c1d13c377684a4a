#!/bin/sh
# Removes what `install` has installed. The settings in /etc and the state stay.
set -eu
# shellcheck source-path=SCRIPTDIR source=agents.sh
. /opt/registry-agent/share/package/agents
# shellcheck source-path=SCRIPTDIR source=archive.sh
. /opt/registry-agent/share/package/archive
# shellcheck source-path=SCRIPTDIR source=other.sh
. /opt/registry-agent/share/package/other

[ "$(id -u)" = 0 ] || { echo "uninstall: only root can do this; run: sudo $0" >&2; exit 1; }

"$tree/share/package/before-removal" /usr/local
# shellcheck disable=SC2046 # unit names have no blanks
[ -n "$(other_agent)" ] || systemctl_all disable $(enabled_units)
remove_installed
rm -rf "$tree"
give_back_helper
[ ! -d /run/systemd/system ] || systemctl daemon-reload
echo "uninstall: removed registry-agent; settings in /etc/registry-agent, state in /var/lib/registry-agent and the" \
    "group registry-agent stay"
