#!/bin/bash
# Makes the feature as people use it, with the agent for this machine's architecture: package.sh DIRECTORY [TREE]
# It lies in DIRECTORY/registry-agent then, since a feature's directory bears its id; archives of other architectures
# that are there already stay. TREE is what scripts/portable-tree.sh has made before; without it, it is made now.
set -euo pipefail
umask 022
feature=$(realpath -m "$1")/registry-agent
tree=${2:+$(realpath "$2")}
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ -z $tree ]]; then
    tree=$work/tree
    scripts/portable-tree.sh "$tree"
fi
mkdir -p "$feature"
cp deploy/devcontainer/{devcontainer-feature.json,install.sh,start.sh,supervise.sh} "$feature"
cp -r completions "$feature"
archive=registry-agent-linux-$(uname -m).tar.gz
# Nothing of this machine or this moment is in it: the same tree gives the same archive.
tar -C "$tree" -c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner . | gzip -n >"$work/$archive"
mv "$work/$archive" "$feature/$archive"
