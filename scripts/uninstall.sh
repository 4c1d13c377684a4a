#!/bin/bash
# Takes away what install.sh put there, by its manifest. From the environment: PREFIX, DESTDIR, as for the install.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/install-places.sh"

main() {
    read_manifest
    if [[ -z $state && ! -d $root$versions ]]; then
        say "nothing is installed in $place"
        return
    fi
    check_inside "$versions"
    alone "$root$prefix/"
    stop_agents
    local path
    for path in "${files[@]}"; do rm -f "$root$path"; done
    rm -rf "$root${versions:?}"
    remove_empty_directories "${directories[@]}"
    if systemd_runs; then systemctl daemon-reload; fi
    say "registry-agent is gone from $place"
    say "left as they are: settings and drop-ins in /etc, state in /var/lib/registry-agent, Docker's logins, the group"
}

# Those that run, and those that are enabled; the sockets too, or the next question would start an agent again.
stop_agents() {
    [[ -z $root ]] && command -v systemctl >/dev/null || return 0
    local agents
    mapfile -t agents < <({
        systemctl list-units --all --plain --no-legend 'registry-agent@*' 2>/dev/null | awk '{ print $1 }'
        find /etc/systemd/system -path '*.wants/registry-agent@*' -printf '%f\n' 2>/dev/null
    } | sort -u)
    [[ ${#agents[@]} -gt 0 ]] || return 0
    if systemd_runs; then systemctl stop "${agents[@]}"; fi
    systemctl --quiet disable "${agents[@]}"
    say "stopped and disabled ${agents[*]}"
}

main
