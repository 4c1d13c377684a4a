#!/bin/bash
# Builds everything that is published: dist.sh DIRECTORY [TREE]
# Writes a wheel, a source archive, a .deb and a .tar.gz for this architecture with everything that the agent needs, an
# SBOM, and checksums. The same sources, packages and interpreter give the same bytes.
# TREE is the output of scripts/portable-tree.sh. Without it, the script builds the tree first.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
umask 022
mkdir -p "$1"
target=$(realpath "$1")
tree=${2:+$(realpath "$2")}
cd "$(dirname "$0")/.."
. scripts/python-packages.sh
python=${PYTHON:-/usr/bin/python3}
unset "${!PYTHON@}"
export SOURCE_DATE_EPOCH=1580601600 # zip files cannot hold dates before 1980; the date has no meaning
export LC_ALL=C TZ=UTC

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' agent/__init__.py)
architecture=$(dpkg --print-architecture)
name=registry-agent_${version}_$architecture
programs=(registry-agent docker-credential-registry-agent) # in the tree's bin directory; each gets a link on the PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

main() {
    if [[ -z $tree ]]; then
        tree=$work/tree
        scripts/portable-tree.sh "$tree"
    fi
    python_archives
    package /usr share/zsh/vendor-completions "$work/deb"
    deb
    package /usr/local share/zsh/site-functions "$work/$name/root"
    tarball
    "$python" -I scripts/sbom.py "$tree" "$version" "$architecture" >"$target/$name.cdx.json"
    (cd "$target" && sha256sum registry[-_]agent[-_]"$version"* >SHA256SUMS)
}

python_archives() {
    "$python" -m venv "$work/tools"
    use_pip "$work/tools/bin/python"
    install_locked "$work/tools/bin/python" requirements-build.lock
    "$work/tools/bin/python" -I -m hatchling build -d "$target" >/dev/null
}

# package PREFIX ZSH-DIRECTORY ROOT: writes the installed files, in their places, below ROOT.
package() {
    local prefix=$1 zsh=$1/$2 root=$3 file program
    mkdir -p "$root/opt" "$root$prefix/bin"
    cp -R "$tree" "$root/opt/registry-agent"
    for program in "${programs[@]}"; do ln -s "/opt/registry-agent/bin/$program" "$root$prefix/bin/$program"; done
    for file in systemd/registry-agent@.*; do
        install -D -m 0644 "$file" "$root$prefix/lib/systemd/system/$(basename "$file")"
    done
    sed -i 's|/usr/local/lib/registry-agent/|/opt/registry-agent/|' "$root$prefix/lib/systemd/system/"*
    install -D -m 0644 systemd/registry-agent.sysusers "$root$prefix/lib/sysusers.d/registry-agent.conf"
    install -D -m 0644 -t "$root$prefix/share/registry-agent/systemd" systemd/drop-ins/*.conf
    install -D -m 0644 -t "$root$prefix/share/bash-completion/completions" completions/bash/registry-agent
    install -D -m 0644 -t "$root$zsh" completions/zsh/_registry-agent
    install -D -m 0644 -t "$root$prefix/share/fish/vendor_completions.d" completions/fish/registry-agent.fish
    install -D -m 0644 -t "$root$prefix/share/doc/registry-agent/docs" docs/*.md
    install -D -m 0644 -t "$root$prefix/share/doc/registry-agent" LICENSE ./*.md
    for file in after-install before-removal; do
        install -D -m 0755 "deploy/package/$file.sh" "$root/opt/registry-agent/share/package/$file"
    done
    for file in agents archive other; do
        install -m 0644 "deploy/package/$file.sh" "$root/opt/registry-agent/share/package/$file"
    done
}

deb() {
    local root=$work/deb control=$work/deb/DEBIAN
    mv "$root/usr/share/doc/registry-agent/LICENSE" "$root/usr/share/doc/registry-agent/copyright"
    mkdir "$control"
    (cd "$root" && find opt usr -type f -print0 | sort -z | xargs -0 md5sum) >"$control/md5sums"
    cat >"$control/control" <<END
Package: registry-agent
Version: $version
Architecture: $architecture
Maintainer: The Registry Agent project
Installed-Size: $(find "$root" -type f -printf '%s\n' | awk '{ sum += $1 } END { print int(sum / 1024) }')
Section: admin
Priority: optional
Description: Keeps a development environment logged in to its container registries
 It runs the real docker login with the secrets of the environment, renews AWS
 ECR tokens before they expire, and shows what works and what does not. It
 brings its own Python, and needs no other package.
END
    install -m 0755 -t "$control" deploy/package/debian/*
    sed -i '2r deploy/package/other.sh' "$control/postrm"
    dpkg-deb --root-owner-group -Zgzip --build "$root" "$target/$name.deb" >/dev/null
}

tarball() {
    local root=$work/$name
    mkdir "$root/root/usr/bin"
    ln -s /opt/registry-agent/bin/docker-credential-registry-agent "$root/root/usr/bin"
    install -m 0755 deploy/package/install.sh "$root/install"
    install -m 0755 deploy/package/uninstall.sh "$root/root/opt/registry-agent/share/package/uninstall"
    (cd "$root/root" && find usr -type f -o -type l) | sort >"$root/root/opt/registry-agent/share/package/files"
    cp LICENSE "$root"
    chmod -R u=rwX,go=rX "$root"
    tar -C "$work" -c --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner "$name" |
        gzip -n >"$target/$name.tar.gz"
}

main
