#!/bin/sh
# Runs before the files are removed: before-removal PREFIX. Stops the agents, and removes their logins from Docker's
# configurations. It reports what fails, but does not stop the removal.
set -u
prefix=$1

rm -f "$prefix/lib/systemd/system/registry-agent@.service.d/10-restart-steps.conf"
rmdir "$prefix/lib/systemd/system/registry-agent@.service.d" 2>/dev/null

# log_out_by_hand USER HOME: removes the logins of an agent that the user ran without systemd.
log_out_by_hand() {
    timeout 60 runuser -u "$1" -- env -i HOME="$2" PATH="$PATH" /opt/registry-agent/bin/registry-agent logout </dev/null ||
        echo "registry-agent: not all logins of $1 were removed from Docker's configuration" >&2
}
[ ! -e /var/lib/registry-agent/state.json ] || log_out_by_hand root /root
getent passwd | while IFS=: read -r user _ _ _ _ home _; do
    [ ! -d "$home/.local/state/registry-agent" ] || log_out_by_hand "$user" "$home"
done
[ -d /run/systemd/system ] || exit 0

# Stop the sockets too, because the next request would start an agent.
units=$({
    systemctl list-units --all --plain --no-legend 'registry-agent@*' | cut -d ' ' -f 1
    find /etc/systemd/system -path '*.wants/registry-agent@*' | sed 's|.*/||'
} | sort -u)
if [ -n "$units" ]; then
    # shellcheck disable=SC2086 # unit names have no blanks
    systemctl stop $units
    # shellcheck disable=SC2086
    systemctl --quiet disable $units
fi

# Run as the user, with the variables and directories of the unit.
for state in /var/lib/registry-agent/*/; do
    [ -d "$state" ] || continue
    user=$(basename "$state")
    systemd-run --quiet --wait --pipe --collect --unit="registry-agent-logout-$$" \
        --property=User="$user" --property=RuntimeMaxSec=60 --property=LimitCORE=1 --property=UMask=0077 \
        --property=EnvironmentFile=-/etc/registry-agent/environment \
        --property=EnvironmentFile="-/etc/registry-agent/environment.$user" \
        --property=RuntimeDirectory="registry-agent/$user/work" --property=RuntimeDirectoryMode=0700 \
        --property=StateDirectory="registry-agent/$user" --property=StateDirectoryMode=0700 \
        /opt/registry-agent/bin/registry-agent logout </dev/null ||
        echo "registry-agent: not all logins of $user were removed from Docker's configuration" >&2
done
exit 0
