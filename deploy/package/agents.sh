#!/bin/sh
# Sourced before an installation is removed: finds and stops its agents, and finds the users whose logins they manage.

# running_units, enabled_units: print the units of agents. Sockets too, because the next request would start an agent.
running_units() {
    { systemctl list-units --all --plain --no-legend 'registry-agent@*' 2>/dev/null || true; } | cut -d ' ' -f 1
}
enabled_units() {
    { find /etc/systemd/system -path '*.wants/registry-agent@*' 2>/dev/null || true; } | sed 's|.*/||' | sort -u
}

# systemctl_all ACTION UNIT...: does nothing without units, or without systemd.
systemctl_all() { [ $# -eq 1 ] || ! command -v systemctl >/dev/null || systemctl --quiet "$@"; }

# stop_agents DIRECTORY: stops the units, and then the agents that users have started from the directory by hand.
stop_agents() {
    # shellcheck disable=SC2046 # unit names have no blanks
    [ ! -d /run/systemd/system ] || systemctl_all stop $({ running_units; enabled_units; } | sort -u)
    end_processes "$1"
}

# end_processes DIRECTORY: as systemd does it, an agent has 20 seconds to finish a write.
end_processes() {
    for signal in TERM KILL; do
        processes=$(processes_of "$1")
        [ -n "$processes" ] || return 0
        # shellcheck disable=SC2086 # numbers
        kill -s "$signal" $processes 2>/dev/null || true # they may have ended meanwhile
        seconds=0
        while [ -n "$(processes_of "$1")" ] && [ "$seconds" -lt 20 ]; do
            sleep 1
            seconds=$((seconds + 1))
        done
    done
}

# processes_of DIRECTORY: prints the processes whose program is below the directory. In a container, the same path
# means another file.
processes_of() {
    for process in /proc/[0-9]*; do
        program=
        { read -r program <"$process/cmdline"; } 2>/dev/null || true # it may have ended. All shells leave out the NULs
        # shellcheck disable=SC3013 # dash and busybox have -ef
        case $program in
            "$1"/*) if [ "$process/root" -ef / ]; then echo "${process#/proc/}"; fi ;;
        esac
    done
}

# users: prints NAME:HOME of each user who may have logins of an agent.
users() {
    accounts | sort -u | while IFS=: read -r user _ _ _ _ home _; do
        if [ -d "/var/lib/registry-agent/$user" ] || [ -d "$home/.local/state/registry-agent" ] ||
            { [ "$user" = root ] && [ -e /var/lib/registry-agent/state.json ]; } ||
            [ -n "$(find "$home/.docker/config.json" -prune -user "$user" 2>/dev/null)" ]; then
            echo "$user:$home"
        fi
    done
}

accounts() {
    if command -v getent >/dev/null; then
        getent passwd || true
        # Some directory services do not list their users, but know each one.
        for state in /var/lib/registry-agent/*/; do getent passwd "$(basename "$state")" || true; done
    else
        cat /etc/passwd
    fi
}

# as_user USER HOME COMMAND...: runs a command that gets no other variable than HOME and PATH, for a minute at most.
# It runs as the user, because root must not follow links in a home directory.
as_user() {
    user=$1 home=$2
    shift 2
    set -- env -i HOME="$home" PATH="$PATH" timeout 60 "$@"
    if command -v runuser >/dev/null; then
        runuser -u "$user" -- "$@" </dev/null
    else
        # shellcheck disable=SC2016 # for the other shell
        su -s /bin/sh -c 'exec "$0" "$@"' -- "$user" "$@" </dev/null
    fi
}
