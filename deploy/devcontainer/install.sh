#!/bin/sh
# Puts the agent into the image, from what lies beside this file: no network, no package manager, no Python.
set -eu
umask 022
cd "$(dirname "$0")"
home=/opt/registry-agent
settings=/etc/registry-agent/config.toml
marker='# Written by the dev container feature from its options.'
default_directory=/run/secrets/registries
default_listen=127.0.0.1:8719
directory=${SECRETSDIRECTORY-$default_directory}
listen=${STATUSLISTEN-$default_listen}

die() {
    echo "registry-agent feature: $*" >&2
    exit 1
}

# A single-quoted TOML text takes everything but these.
check_text() {
    case $2 in *[[:cntrl:]\']*) die "option $1: no quotes and no control characters, please" ;; esac
}

[ "$(id -u)" = 0 ] || die "install.sh runs as root"
for tool in flock setsid; do
    command -v "$tool" >/dev/null || die "the image has no $tool (package util-linux)"
done
check_text secretsDirectory "$directory"
check_text statusListen "$listen"
archive=registry-agent-linux-$(uname -m).tar.gz
if [ ! -f "$archive" ]; then
    set -- registry-agent-linux-*.tar.gz
    [ -f "$1" ] || die "there is no agent beside install.sh. This is the feature's source:" \
        "run 'make devcontainer-feature' in the agent's repository, and use what it puts into dist/"
    die "there is no $archive beside install.sh, only $*. Run 'make devcontainer-feature' on a machine of that kind," \
        "and put its archive here too"
fi

# Whole or not at all: what a stopped build leaves is not taken for the agent.
unfinished=$home.unfinished
rm -rf "$unfinished"
mkdir -p "$unfinished"
tar -xzf "$archive" --no-same-owner -C "$unfinished"
rm -rf "$home"
mv "$unfinished" "$home"
mkdir -p /usr/local/bin
ln -sf "$home/bin/registry-agent" /usr/local/bin/registry-agent
ln -sf "$home/bin/docker-credential-registry-agent" /usr/bin/docker-credential-registry-agent
install -D -m 0755 -t /usr/local/share/registry-agent start.sh supervise.sh
install -D -m 0644 -t /usr/local/share/bash-completion/completions completions/bash/registry-agent
install -D -m 0644 -t /usr/local/share/zsh/site-functions completions/zsh/_registry-agent
install -D -m 0644 -t /usr/local/share/fish/vendor_completions.d completions/fish/registry-agent.fish

# Options become the settings file, so that all commands see them; an image's own file is never touched.
ours=true
if [ -e "$settings" ]; then
    IFS= read -r first <"$settings" || true
    [ "$first" = "$marker" ] || ours=false
fi
if [ "$directory" = "$default_directory" ] && [ "$listen" = "$default_listen" ]; then
    ! $ours || rm -f "$settings"
else
    $ours || die "the options cannot be set, since the image has its own $settings: set them there"
    mkdir -p "$(dirname "$settings")"
    printf '%s\n' "$marker" '[secrets]' "directories = ['$directory']" '[status]' "listen = '$listen'" >"$settings"
    chmod 0644 "$settings"
fi

# Not an image's own: a token that it names may be there only when the container runs.
! $ours || said=$("$home/bin/registry-agent" check-config 2>&1) || die "$said"
echo "registry-agent feature: installed $("$home/bin/registry-agent" --version)"
