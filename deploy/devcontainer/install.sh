#!/bin/sh
# Installs the agent in the image from the files next to this one. Needs no network, no package manager and no Python.
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

# A TOML text in single quotes can contain everything except these.
check_text() {
    case $2 in *[[:cntrl:]\']*) die "option $1 must not contain single quotes or control characters" ;; esac
}

[ "$(id -u)" = 0 ] || die "install.sh must run as root"
for tool in flock setsid; do
    command -v "$tool" >/dev/null || die "the image has no $tool (package util-linux)"
done
check_text secretsDirectory "$directory"
check_text statusListen "$listen"
archive=registry-agent-linux-$(uname -m).tar.gz
if [ ! -f "$archive" ]; then
    set -- registry-agent-linux-*.tar.gz
    [ -f "$1" ] || die "there is no agent next to install.sh, because this is the source of the feature." \
        "Run 'make devcontainer-feature' in the agent's repository, and use the result in dist/"
    die "there is no $archive next to install.sh, only $*. Run 'make devcontainer-feature' on a machine with that" \
        "architecture, and copy its archive here too"
fi

# Installed in one step, so that an interrupted build leaves nothing that looks like the agent.
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

# The options go into the settings file, so that all commands use them. A file of the image itself is never changed.
ours=true
if [ -e "$settings" ]; then
    IFS= read -r first <"$settings" || true
    [ "$first" = "$marker" ] || ours=false
fi
if [ "$directory" = "$default_directory" ] && [ "$listen" = "$default_listen" ]; then
    ! $ours || rm -f "$settings"
else
    $ours || die "the options have no effect, because the image has its own $settings: set them there"
    mkdir -p "$(dirname "$settings")"
    printf '%s\n' "$marker" '[secrets]' "directories = ['$directory']" '[status]' "listen = '$listen'" >"$settings"
    chmod 0644 "$settings"
fi

# Do not check the image's own file: a token file that it names may exist only while the container runs.
! $ours || said=$("$home/bin/registry-agent" check-config 2>&1) || die "$said"
echo "registry-agent feature: installed $("$home/bin/registry-agent" --version)"
