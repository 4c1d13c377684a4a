#!/bin/bash
# Downloads the docker CLIs of several Debian releases to DIRECTORY/SUITE/docker, for tests that try each of them. Keeps
# those that exist. sid changes every day, so the script also succeeds without its CLI.
set -euo pipefail

if (($# != 1)); then
    echo "usage: $0 DIRECTORY" >&2
    exit 64
fi
mkdir -p "$1"
directory=$(realpath "$1")

# The mirror that this machine's apt uses for Debian itself, not for updates such as bookworm-security.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(COMPONENT) $(RELEASE) $(REPO_URI)' |
    awk '$1 == "main" && $2 !~ /-/ && !found++ { print $3 }')
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Works in a temporary directory, which gets its final name when it is complete.
fetch() {
    local suite=$1 work=$directory/$1.unfinished apt
    rm -rf "$work"
    mkdir -p "$work"/{lists/partial,archives/partial,cli}
    echo "deb [signed-by=$keyring] $mirror $suite main" >"$work/sources.list"
    apt=(apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State="$work" -o Dir::State::Status=/dev/null -o Dir::Cache="$work" -o APT::Sandbox::User=root)
    cd "$work"
    "${apt[@]}" update
    # Up to bookworm, the engine's package contains the CLI.
    "${apt[@]}" download docker-cli 2>/dev/null || "${apt[@]}" download docker.io
    dpkg-deb --fsys-tarfile ./*.deb | tar --extract ./usr/bin/docker
    mv usr/bin/docker cli/docker
    cli/docker --version >/dev/null
    mv -T cli "$directory/$suite"
    cd "$directory"
    rm -rf "$work"
}

missing=0
for suite in bookworm trixie sid; do
    if [[ ! -x $directory/$suite/docker ]]; then
        # With `fetch ||`, bash would ignore `set -e` inside the function.
        (fetch "$suite") &
        if ! wait $!; then
            rm -rf "$directory/$suite.unfinished"
            echo "docker CLI of $suite: cannot be downloaded" >&2
            [[ $suite == sid ]] || missing=1
            continue
        fi
    fi
    echo "docker CLI of $suite: $("$directory/$suite/docker" --version)"
done
exit "$missing"
