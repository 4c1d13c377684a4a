#!/bin/bash
# Installs the agent, its units and its completions. Reads from the environment: PREFIX, DESTDIR, PYTHON, UNITDIR,
# SYSTEMD_VERSION. A second run changes nothing. A run that fails keeps the installed version.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/install-places.sh"
. scripts/python-packages.sh
asked_python=${PYTHON:-}
# These variables change where pip, venv and compileall search, or what they write.
unset "${!PYTHON@}"
# Only `settle` writes bytecode, because it knows the final path.
export PYTHONDONTWRITEBYTECODE=1

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' agent/__init__.py)
case $prefix in
    '' | /usr | /usr/local) units=$prefix/lib/systemd/system sysusers=$prefix/lib/sysusers.d ;;
    *) units=/etc/systemd/system sysusers=/etc/sysusers.d ;; # systemd does not search below such a prefix
esac
[[ -z ${UNITDIR:-} ]] || units=$(plain UNITDIR "$UNITDIR")
made=() unfinished='' running=''

main() {
    [[ ! -e $root$link || -L $root$link ]] ||
        die "$root$link exists, and make install did not create it; move it somewhere else first"
    local file
    for file in "$command" "$helper"; do
        ! is_foreign "$file" || die "$root$file belongs to another installation. $(how_to_remove_it)"
    done
    choose_python
    temporary=$(mktemp -d)
    trap clean_up EXIT
    mkdir -p -- "$root/"
    make_directories "$prefix"
    alone "$root$prefix/"
    read_manifest
    wanted=$versions/$version-$(fingerprint)
    make_group
    compare
    if [[ $state == complete && ${#changed[@]} -eq 0 && ${#obsolete[@]} -eq 0 ]] && is_built; then
        say "registry-agent $version is already installed in $place; nothing changed"
        return
    fi
    is_built || build
    # From here on, nothing needs the network. If this is interrupted, the next run repeats it.
    write_manifest unfinished
    put_files
    put_link "$(basename "$versions")/$(basename "$wanted")" "$link"
    unfinished=
    put_link "${links[$command]}" "$command"
    put_link "${links[$helper]}" "$helper"
    if is_foreign "$every_path"; then
        say "$root$every_path belongs to another installation, and stays"
    elif cannot_link "$every_path"; then
        say "without $root$every_path, only programs with $prefix/bin on their PATH can get logins from memory"
    else
        put_link "${links[$every_path]}" "$every_path"
    fi
    remove_obsolete
    tell_systemd
    remove_old_versions
    write_manifest complete
    say "installed registry-agent $version in $place"
    say_next
}

# Whether something that works is there, and this installation has not put it there.
is_foreign() { [[ -e $root$1 ]] && ! is_ours "$1"; }

# Some systems have a read-only /usr. The agent works without the link there.
cannot_link() {
    [[ $1 == "$every_path" && -d $root/usr/bin && ! -w $root/usr/bin ]] && ! is_ours "$1"
}

how_to_remove_it() {
    local archive=/opt/registry-agent/share/package/uninstall
    if [[ -x $archive && -z $root ]]; then
        echo "First run: sudo $archive"
    else
        echo "Remove that first"
    fi
}

clean_up() {
    local code=$?
    rm -rf "$temporary"
    [[ $code -ne 0 ]] || return 0
    [[ -z $unfinished ]] || rm -rf "$unfinished"
    remove_empty_directories "${made[@]}"
}

# --- Python ---

# Agents run as other users. So prefer the system's Python, and never use one that only root can access.
choose_python() {
    local candidate answer refused=
    local candidates=(/usr/bin/python3 python3 python3.13 python3.12 python3.11)
    [[ -z $asked_python ]] || candidates=("$asked_python")
    for candidate in "${candidates[@]}"; do
        command -v "$candidate" >/dev/null || continue
        if answer=$("$candidate" -I -c "$about_python" 2>/dev/null); then
            python=${answer%$'\n'*}
            abi=${answer##*$'\n'}
            return
        fi
        refused+="${refused:+; }$candidate ${answer:-does not run}"
    done
    die "no suitable Python found: ${refused:-there is no ${asked_python:-python3}}. The agent needs Python 3.11 or" \
        "newer that every user can run (Debian 12, Ubuntu 24.04 or newer: sudo apt-get install python3 python3-venv)." \
        "Set PYTHON to the path of another python3, or copy /opt/registry-agent from the container image, which" \
        "includes Python"
}

# Prints the interpreter behind a shim or virtual environment, and its ABI; or why the agent cannot use it.
about_python='
import os, sys, sysconfig
if sys.version_info < (3, 11):
    sys.exit(print("is Python %d.%d" % sys.version_info[:2]) or 1)
base = sys._base_executable
own = os.path.join(os.path.dirname(base), "python%d.%d" % sys.version_info[:2])
if os.path.exists(own) and os.path.samefile(own, base):
    base = own  # a new release of the distribution changes what python3 is
for path in (os.path.realpath(base), os.path.dirname(os.path.realpath(os.__file__))):
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            sys.exit(print("needs", path, "which other users cannot access") or 1)
        path = os.path.dirname(path)
print(base)
print(sysconfig.get_config_var("SOABI"))
'

# A hash of everything that the virtual environment is built from.
fingerprint() {
    {
        echo "$prefix $python $abi"
        find agent -type f ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
        sha256sum pyproject.toml requirements.lock requirements-build.lock scripts/install.sh scripts/python-packages.sh
    } | sha256sum | cut -c1-12
}

# The command is written last, so it exists only in a complete environment.
is_built() {
    [[ -x $root$wanted/bin/registry-agent ]] &&
        [[ $("$root$wanted/bin/python" -IB -m agent --version 2>/dev/null) == "registry-agent $version" ]]
}

# Builds the virtual environment in its final place, because it contains its own path. Nothing uses it until the link
# points to it. The build tools are in a temporary directory.
build() {
    need_venv
    say "building a virtual environment with $python"
    make_directories "$versions"
    unfinished=$root$wanted
    rm -rf "$unfinished"
    "$python" -m venv "$temporary/tools"
    "$python" -m venv --without-pip "$unfinished"
    local into=$unfinished/bin/python
    {
        use_pip "$temporary/tools/bin/python" &&
            install_locked "${pip[0]}" requirements-build.lock &&
            "${pip[@]}" wheel -qq --no-deps --no-build-isolation --no-index --wheel-dir "$temporary/wheel" . &&
            install_locked "$into" requirements.lock &&
            into_environment "$into" install -qq --no-compile --no-deps --no-index --find-links "$temporary/wheel" \
                "registry-agent==$version" && # by name, because pip would record a path in the environment
            check_environment "$into" &&
            settle
    } || die "the installation failed; the version that was installed before is unchanged"
}

need_venv() {
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then return; fi
    # Debian and Ubuntu have a separate package for these.
    local package log
    package=$("$python" -c 'import sys; print("python{}.{}-venv".format(*sys.version_info))')
    if [[ -n $root ]] || ! command -v apt-get >/dev/null; then
        die "$python cannot create virtual environments; run: sudo apt-get install $package"
    fi
    say "installing $package"
    log=$(apt-get -qq update 2>&1 &&
        DEBIAN_FRONTEND=noninteractive apt-get -y -qq install --no-install-recommends "$package" 2>&1) || die "$log"
}

# Compiles the environment, and removes the build path and all that is not needed to run. Only root can write to it.
# bash ignores `set -e` here, because this is part of a condition; so each command is joined with &&.
settle() {
    local home=${unfinished#"$root"} bin=$unfinished/bin settings packages
    settings=$(<"$unfinished/pyvenv.cfg") &&
        printf '%s\n' "${settings//"$unfinished"/"$home"}" >"$unfinished/pyvenv.cfg" &&
        find "$bin" -mindepth 1 ! -name 'python*' -delete &&
        rm -rf "$unfinished/include" "$unfinished/.gitignore" &&
        "$bin/python" -I -m compileall -q -s "$unfinished" -p "$home" "$unfinished/lib" &&
        # -I ignores PYTHONPATH, so that no project adds its modules. It also ignores PYTHONFAULTHANDLER, so use -X.
        cat >"$bin/unfinished" <<SCRIPT &&
#!$home/bin/python -IXfaulthandler
import sys

from agent.__main__ import main

sys.exit(main())
SCRIPT
        packages=$("$bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))') &&
        helper_program "$home/bin/python" "${packages#"$root"}" >"$bin/docker-credential-registry-agent" &&
        chmod 755 "$bin/unfinished" "$bin/docker-credential-registry-agent" &&
        chmod -R u=rwX,go=rX "$unfinished" &&
        if [[ $EUID -eq 0 ]]; then chown -hR 0:0 "$unfinished"; fi &&
        sync --file-system "$unfinished" &&
        mv "$bin/unfinished" "$bin/registry-agent"
}

# --- files ---

# Sets `sources` and `targets`: each file and its place. `changed` has the targets and links that differ, `obsolete` the
# files of an earlier version that this one does not have.
compare() {
    sources=() targets=() changed=() obsolete=()
    local share=$prefix/share file at
    for file in systemd/registry-agent@.*; do add "$(rendered "$file")" "$units/$(basename "$file")"; done
    if knows_steps; then
        add systemd/drop-ins/restart-steps.conf "$units/registry-agent@.service.d/10-restart-steps.conf"
    fi
    add systemd/registry-agent.sysusers "$sysusers/registry-agent.conf"
    for file in systemd/drop-ins/*.conf; do add "$file" "$share/registry-agent/systemd/$(basename "$file")"; done
    add completions/bash/registry-agent "$share/bash-completion/completions/registry-agent"
    add completions/zsh/_registry-agent "$share/zsh/site-functions/_registry-agent"
    add completions/fish/registry-agent.fish "$share/fish/vendor_completions.d/registry-agent.fish"
    for file in LICENSE *.md docs/*.md; do add "$file" "$share/doc/registry-agent/$file"; done

    for at in "${!targets[@]}"; do
        # After an interrupted run, systemd may not have read the file yet.
        [[ $state == complete ]] && is_same "${sources[at]}" "$root${targets[at]}" || changed+=("${targets[at]}")
    done
    [[ $(readlink "$root$link") == "$(basename "$versions")/$(basename "$wanted")" ]] || changed+=("$link")
    for file in "${!links[@]}"; do
        is_ours "$file" || is_foreign "$file" || cannot_link "$file" || changed+=("$file")
    done
    for file in "${files[@]}"; do
        among "$file" "${targets[@]}" "$link" "$command" "$helper" "$every_path" "$manifest" || obsolete+=("$file")
    done
}

add() { sources+=("$1") targets+=("$2"); }

among() {
    local one=$1 other
    shift
    for other in "$@"; do [[ $other != "$one" ]] || return 0; done
    return 1
}

rendered() {
    local file
    file=$temporary/$(basename "$1")
    sed "s|/usr/local/lib/registry-agent|$link|g" "$1" >"$file"
    echo "$file"
}

# Whether systemd supports RestartSteps= (254 and newer). For a tree for packaging, only SYSTEMD_VERSION can say it.
knows_steps() {
    local number=${SYSTEMD_VERSION:-}
    [[ -n $number || -n $root ]] || number=$(systemctl --version 2>/dev/null | awk 'NR == 1 { print $2 }') || true
    number=${number%%[!0-9]*}
    ((${number:-0} >= 254))
}

is_same() { [[ -f $2 && ! -L $2 && $(stat -c '%a %u' "$2") == "644 $EUID" ]] && cmp -s "$1" "$2"; }

put_files() {
    local at
    for at in "${!targets[@]}"; do
        is_same "${sources[at]}" "$root${targets[at]}" || put_file "${sources[at]}" "${targets[at]}"
    done
}

# Replaces the file in one step: a reader sees the old or the new one.
put_file() {
    install -m 644 "$1" "$root$2.new"
    mv -fT "$root$2.new" "$root$2"
}

put_link() {
    [[ $(readlink "$root$2") != "$1" ]] || return 0
    ln -sfT "$1" "$root$2.new"
    mv -fT "$root$2.new" "$root$2"
}

# `made` has the directories that did not exist, so that uninstall removes them.
make_directories() {
    [[ ! -d $root$1 ]] || return 0
    make_directories "$(dirname "$1")"
    mkdir -m 755 "$root$1"
    made+=("$1")
}

write_manifest() {
    local list=("${targets[@]}" "$link" "$command" "$helper" "$every_path" "$manifest") path
    [[ $1 == complete ]] || list+=("${obsolete[@]}")
    for path in "${list[@]}"; do make_directories "$(dirname "$path")"; done
    {
        echo "state $1"
        printf 'file %s\n' "${list[@]}"
        printf 'directory %s\n' "${directories[@]}" "${made[@]}" | awk 'NF > 1' | sort -u
    } >"$temporary/manifest"
    put_file "$temporary/manifest" "$manifest"
}

remove_obsolete() {
    [[ ${#obsolete[@]} -gt 0 ]] || return 0
    remove_files "${obsolete[@]}"
    remove_empty_directories "${directories[@]}"
}

# --- afterwards ---

# The sockets belong to this group, and fail without it. systemd-sysusers at the next boot would be too late.
make_group() {
    [[ -z $root ]] && ! getent group registry-agent >/dev/null || return 0
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers "$PWD/systemd/registry-agent.sysusers"
    else
        groupadd --system registry-agent
    fi
}

tell_systemd() {
    systemd_runs || return 0
    local restart=() path
    systemctl daemon-reload
    running=$(systemctl list-units --plain --no-legend --state=active 'registry-agent@*.service' |
        awk '{ print $1 }' | paste -sd' ')
    for path in "${changed[@]}" "${obsolete[@]}"; do
        case $path in
            "$units/registry-agent@.socket") restart+=('registry-agent@*.socket' 'registry-agent@*.service') ;;
            "$link" | "$units"/*) restart+=('registry-agent@*.service') ;;
        esac
    done
    [[ ${#restart[@]} -gt 0 ]] || return 0
    systemctl try-restart "${restart[@]}" || die "$running did not restart; see: journalctl -u 'registry-agent@*'"
    [[ -z $running ]] || say "restarted $running"
}

# An agent that was not restarted still uses its old version.
remove_old_versions() {
    local old
    for old in "$root$versions"/*; do
        [[ $old == "$root$wanted" ]] || in_use "$old" || rm -rf "$old"
    done
}

# Pass the path on standard input, because grep also searches its own command line.
in_use() {
    # shellcheck disable=SC2062 # the pattern is on standard input
    [[ -z $root ]] && echo "$1/" | grep --quiet --no-messages --text --fixed-strings --file - /proc/[0-9]*/cmdline
}

say_next() {
    local start="${root:+on the target machine, }start it, now and at each boot:"
    [[ -z $running ]] || return 0
    if [[ -z $root ]] && ! systemd_runs; then
        say "systemd is not running here; start the agent as the user who runs docker: $command run"
    elif [[ ${SUDO_USER:-root} =~ ^[a-z_][a-z0-9_.-]*$ && ${SUDO_USER:-root} != root ]]; then
        say "$start sudo systemctl enable --now registry-agent@$SUDO_USER.service"
    else
        say "${root:+on the target machine, }enable the service for the user who runs docker;" \
            "see docs/systemd.md"
    fi
}

main
