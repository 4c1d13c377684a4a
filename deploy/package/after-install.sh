#!/bin/sh
# Runs after the files are in place: after-install PREFIX. Agents that run are started anew; no other is started.
set -u
prefix=$1

# The sockets are this group's, and fail without it.
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers "$prefix/lib/sysusers.d/registry-agent.conf"
elif ! grep -q '^registry-agent:' /etc/group 2>/dev/null; then
    groupadd --system registry-agent 2>/dev/null || addgroup -S registry-agent 2>/dev/null || true
fi

# systemd 254 and newer know RestartSteps=; older ones would log a line about it at each reload.
version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "${version:-0}" -ge 254 ]; then
    mkdir -p "$prefix/lib/systemd/system/registry-agent@.service.d"
    ln -sf "$prefix/share/registry-agent/systemd/restart-steps.conf" \
        "$prefix/lib/systemd/system/registry-agent@.service.d/10-restart-steps.conf"
fi

if [ "$prefix" = /usr ] && [ -e /usr/local/lib/registry-agent ]; then
    echo "registry-agent: an agent of 'make install' is in /usr/local, and comes first." \
        "Remove it: sudo make uninstall. State and logins stay." >&2
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl try-restart 'registry-agent@*.service'
fi
exit 0
