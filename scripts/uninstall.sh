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
    [[ -d $link/ ]] || return 0
    while IFS=: read -r user home; do
        as_user "$user" "$home" "$link/bin/python" -IB -m agent.cli.release_helper || report "$user" "$home" $?
    done < <(users)
}

# report USER HOME CODE: if the interpreter is gone, as after an upgrade of the system, nothing has reported what remains.
report() {
    [[ $3 -ne 1 ]] || return 0
    if as_user "$1" "$2" grep -qs '"registry-agent"' "$2/.docker/config.json"; then
        say "remove registry-agent from credHelpers in $2/.docker/config.json: docker would look for a program that is gone" >&2
    fi
}

main
