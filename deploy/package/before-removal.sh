#!/bin/sh
# Runs before the files are removed: before-removal PREFIX. Stops the agents, and removes their logins from Docker's
# configurations. It reports what fails, but does not stop the removal.
set -u
prefix=$1
tree=/opt/registry-agent
# shellcheck source-path=SCRIPTDIR source=agents.sh
. "$tree/share/package/agents"
# shellcheck source-path=SCRIPTDIR source=other.sh
. "$tree/share/package/other"

rm -f "$prefix/lib/systemd/system/registry-agent@.service.d/10-restart-steps.conf"
rmdir "$prefix/lib/systemd/system/registry-agent@.service.d" 2>/dev/null

# The units of `make install` come before these. Its agents have the same state and logins.
other=$(other_agent)
if [ -n "$other" ]; then
    end_processes "$tree"
    echo "registry-agent: the agents and the logins of the other installation, in ${other%/lib/*/bin/*}, stay"
    exit 0
fi

# log_out_of_unit USER COMMAND...: runs as the user, with the variables and directories of the unit.
log_out_of_unit() {
    user=$1
    shift
    systemd-run --quiet --wait --pipe --collect --unit="registry-agent-logout-$$" \
        --property=User="$user" --property=RuntimeMaxSec=60 --property=LimitCORE=1 --property=UMask=0077 \
        --property=EnvironmentFile=-/etc/registry-agent/environment \
        --property=EnvironmentFile="-/etc/registry-agent/environment.$user" \
        --property=RuntimeDirectory="registry-agent/$user/work" --property=RuntimeDirectoryMode=0700 \
        --property=StateDirectory="registry-agent/$user" --property=StateDirectoryMode=0700 \
        "$@" </dev/null
}

stop_agents "$tree"
# It prints only what was not removed, and why.
set -- "$tree/bin/registry-agent" logout --set log.level=warning --set log.format=console
users | while IFS=: read -r user home; do
    complete=true
    if [ -d /run/systemd/system ] && [ -d "/var/lib/registry-agent/$user" ]; then
        log_out_of_unit "$user" "$@" || complete=false
    fi
    as_user "$user" "$home" "$@" || complete=false # of agents that the user has started by hand
    $complete || echo "registry-agent: not all logins of $user were removed from Docker's configuration" >&2
done
exit 0
