#!/bin/sh
# Runs after the files are installed: after-install PREFIX. Restarts the agents that run. Starts no others.
set -u
prefix=$1
# shellcheck source-path=SCRIPTDIR source=other.sh
. /opt/registry-agent/share/package/other

# The sockets belong to this group, and fail without it.
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers "$prefix/lib/sysusers.d/registry-agent.conf"
elif ! grep -q '^registry-agent:' /etc/group 2>/dev/null; then
    groupadd --system registry-agent 2>/dev/null || addgroup -S registry-agent 2>/dev/null || true
fi

# RestartSteps= needs systemd 254. Older versions would log a warning about it at each reload.
version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "${version:-0}" -ge 254 ]; then
    mkdir -p "$prefix/lib/systemd/system/registry-agent@.service.d"
    ln -sf "$prefix/share/registry-agent/systemd/restart-steps.conf" \
        "$prefix/lib/systemd/system/registry-agent@.service.d/10-restart-steps.conf"
fi

# The archive was here before this package. dpkg has replaced its files in the tree, and knows which ones are left over.
if [ "$prefix" = /usr ] && [ -e /opt/registry-agent/share/package/files ]; then
    # shellcheck source-path=SCRIPTDIR source=archive.sh
    . /opt/registry-agent/share/package/archive # it sets `tree`
    remove_installed
    {
        find "$tree"
        dpkg-query --listfiles registry-agent
        dpkg-query --listfiles registry-agent
    } | sort -r | uniq -u | while read -r path; do
        if [ -d "$path" ] && [ ! -L "$path" ]; then rmdir "$path"; else rm -f "$path"; fi
    done
    for link in /etc/systemd/system/*.wants/registry-agent@*; do # of agents that are enabled
        [ -e "$link" ] || [ ! -L "$link" ] ||
            ln -sf "$prefix/lib/systemd/system/$(basename "$(readlink "$link")")" "$link"
    done
fi

other=$(other_agent)
if [ -n "$other" ]; then
    other=${other%/lib/*/bin/*}
    echo "registry-agent: 'make install' has installed another agent in $other, whose units take precedence." \
        "To remove it, run: sudo make uninstall PREFIX=$other. State and logins stay." >&2
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl try-restart 'registry-agent@*.service'
fi
exit 0
