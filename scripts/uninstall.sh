#!/bin/bash
# Removes the files in the manifest of install.sh. Reads PREFIX and DESTDIR from the environment, as install.sh does.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/install-places.sh"
# shellcheck source=../deploy/package/agents.sh
. deploy/package/agents.sh

main() {
    read_manifest
    if [[ -z $state && ! -d $root$versions ]]; then
        say "nothing is installed in $place"
        return
    fi
    check_inside "$versions"
    alone "$root$prefix/"
    [[ -n $root ]] || leave_system
    [[ ${#files[@]} -eq 0 ]] || remove_files "${files[@]}"
    rm -rf "$root${versions:?}"
    remove_empty_directories "${directories[@]}"
    if systemd_runs; then systemctl daemon-reload; fi
    say "removed registry-agent from $place"
    say "kept: settings and drop-ins in /etc, state in /var/lib/registry-agent, Docker's logins, the group"
}

# Stops and disables the agents. Docker fails if its configuration names a helper that does not exist, so these lines go.
leave_system() {
    local units user home
    mapfile -t units < <(enabled_units)
    stop_agents "$versions"
    systemctl_all disable "${units[@]}"
    [[ ${#units[@]} -eq 0 ]] || say "stopped and disabled ${units[*]}"
    [[ -x $link/bin/python ]] || return 0
    while IFS=: read -r user home; do
        as_user "$user" "$home" "$link/bin/python" -IB -m agent.cli.release_helper || true # it has reported what remains
    done < <(users)
}

main
