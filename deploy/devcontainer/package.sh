#!/bin/bash
# Builds the dev container feature, with the agent for this machine's architecture: package.sh DIRECTORY [TREE]
# The result is DIRECTORY/registry-agent, because a feature's directory must have its id as name. Archives of other
# architectures stay there. TREE is the output of scripts/portable-tree.sh. Without it, the script builds the tree first.
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
# The archive does not depend on the machine or the time: the same tree gives the same archive.
tar -C "$tree" -c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner . | gzip -n >"$work/$archive"
mv "$work/$archive" "$feature/$archive"
