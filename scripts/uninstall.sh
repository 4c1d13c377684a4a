#!/bin/bash
# Removes the files in the manifest of install.sh. Reads PREFIX and DESTDIR from the environment, as install.sh does.
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
    release_docker
    local path
    for path in "${files[@]}"; do rm -f "$root$path"; done
    rm -rf "$root${versions:?}"
    remove_empty_directories "${directories[@]}"
    if systemd_runs; then systemctl daemon-reload; fi
    say "removed registry-agent from $place"
    say "kept: settings and drop-ins in /etc, state in /var/lib/registry-agent, Docker's logins, the group"
}

# Docker fails if its configuration names a helper that does not exist, so remove these lines. Each user does it, because
# root must not follow links in their home directories.
release_docker() {
    [[ -z $root && -x $link/bin/python ]] || return 0
    local user uid home
    while IFS=: read -r user _ uid _ _ home _; do
        [[ $uid -eq 0 || $uid -ge 1000 ]] || continue
        [[ -d /var/lib/registry-agent/$user || -e $home/.docker/config.json ]] || continue
        local environment=("HOME=$home" "PATH=$PATH")
        [[ ! -d /var/lib/registry-agent/$user ]] || environment+=("STATE_DIRECTORY=/var/lib/registry-agent/$user")
        timeout 60 runuser -u "$user" -- env -i "${environment[@]}" \
            "$link/bin/python" -IB -m agent.cli.release_helper </dev/null || true # it has reported what remains
    done < <(getent passwd)
}

# Stops and disables all agents that run or are enabled. Sockets too, because the next request would start an agent.
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
