#!/bin/sh
# Keeps one agent running for as long as the container lives, and its latest log lines in a file.
set -u
agent=/opt/registry-agent/bin/registry-agent
first_pause_s=2
longest_pause_s=60
largest_log=1000000 # bytes; the log before this one is kept too

if [ "$(id -u)" = 0 ]; then
    state=/var/lib/registry-agent
else
    state=${XDG_STATE_HOME:-${HOME-}/.local/state}/registry-agent
    # A terminal may lack the tool's XDG_RUNTIME_DIR, which may name a directory of the host; here all commands look.
    export RUNTIME_DIRECTORY="${RUNTIME_DIRECTORY:-$state/run}"
fi

# A second start ends here. The lock ends with its holder. It is on a file that only this user can open, since any user
# could hold a lock on this script forever. The script is locked only if there is no place to write to.
umask 077
mkdir -p "$state"
lock=$state/supervise.lock
(: >>"$lock") || lock=$0
exec 9<"$lock"
flock -n 9 || exit 0
cd /

forever() {
    # Who ends this shell ends the agent as well: they share the process group.
    trap 'trap - TERM; kill 0' TERM
    pause=$first_pause_s
    while :; do
        began=$(date +%s)
        "$agent" run 9<&- &
        wait "$!"
        code=$?
        [ $(($(date +%s) - began)) -lt "$longest_pause_s" ] || pause=$first_pause_s
        echo "supervise: the agent ended with $code, and is started again in $pause s"
        sleep "$pause" 9<&- &
        wait "$!"
        pause=$((pause * 2))
        [ "$pause" -le "$longest_pause_s" ] || pause=$longest_pause_s
    done
}

keep() {
    trap '' TERM # it ends when nobody is left to write
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
