#!/bin/sh
# Runs one agent for as long as the container runs, restarts it, and writes its latest log lines to a file.
set -u
agent=/opt/registry-agent/bin/registry-agent
first_pause_s=2
longest_pause_s=60
largest_log=1000000 # bytes; the previous log is kept too

if [ "$(id -u)" = 0 ]; then
    state=/var/lib/registry-agent
else
    state=${XDG_STATE_HOME:-${HOME-}/.local/state}/registry-agent
    # The tool's XDG_RUNTIME_DIR may name a directory of the host, and terminals may lack it. All commands search here.
    export RUNTIME_DIRECTORY="${RUNTIME_DIRECTORY:-$state/run}"
fi

# A second start ends here. The lock is released when its holder ends. It is on a file that only this user can open,
# because any user could lock this script forever. The script is locked only if nothing can be written.
umask 077
mkdir -p "$state"
lock=$state/supervise.lock
(: >>"$lock") || lock=$0
exec 9<"$lock"
flock -n 9 || exit 0
cd /

forever() {
    # When this shell is stopped, it stops the agent too: they share the process group.
    trap 'trap - TERM; kill 0' TERM
    pause=$first_pause_s
    while :; do
        began=$(date +%s)
        "$agent" run 9<&- &
        wait "$!"
        code=$?
        [ $(($(date +%s) - began)) -lt "$longest_pause_s" ] || pause=$first_pause_s
        echo "supervise: the agent exited with code $code; it restarts in $pause s"
        sleep "$pause" 9<&- &
        wait "$!"
        pause=$((pause * 2))
        [ "$pause" -le "$longest_pause_s" ] || pause=$longest_pause_s
    done
}

keep() {
    trap '' TERM # it ends when all writers have ended
    size=$largest_log
    while IFS= read -r line; do
        if [ "$size" -ge "$largest_log" ]; then
            mv -f "$state/log" "$state/log.old"
            size=0
        fi
        printf '%s\n' "$line" >>"$state/log"
        size=$((size + ${#line} + 1))
    done
}

forever 2>&1 | keep 9<&- &
