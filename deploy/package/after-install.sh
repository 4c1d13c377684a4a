#!/bin/sh
# Runs after the files are installed: after-install PREFIX. Restarts the agents that run. Starts no others.
set -u
prefix=$1

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

if [ "$prefix" = /usr ] && [ -e /usr/local/lib/registry-agent ]; then
    echo "registry-agent: 'make install' has installed another agent in /usr/local, which takes precedence." \
        "To remove it, run: sudo make uninstall. State and logins stay." >&2
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl try-restart 'registry-agent@*.service'
fi
exit 0
