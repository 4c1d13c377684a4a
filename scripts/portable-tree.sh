#!/bin/bash
# Builds one directory with the agent and everything that it needs: portable-tree.sh DIRECTORY
# It contains an interpreter, its library, the pinned packages, and all shared libraries, including the C library and its
# loader. At /opt/registry-agent, and only there, it runs on any Linux of this architecture, even an empty one.
# The build needs python3 with venv, patchelf and a package index. Set PYTHON to use another interpreter.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
tree=$(realpath -m "$1")
cd "$(dirname "$0")/.."
. scripts/python-packages.sh
python=${PYTHON:-/usr/bin/python3}
unset "${!PYTHON@}"
prefix=/opt/registry-agent
services='ecr ecr-public sts sso sso-oidc signin' # of AWS: those that give tokens, and those that a profile may need

[[ ! -e $tree ]] || { echo "portable-tree: $tree exists already; remove it first" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# The directories of this interpreter below its prefix: lib/python3.13, lib/python3.13/dist-packages.
version=$("$python" -IS -c 'import sys; print("{}.{}".format(*sys.version_info))')
stdlib=$("$python" -IS -c 'import os; print(os.path.dirname(os.__file__))')
packages=$("$python" -I -c 'import site; print(site.getsitepackages(["."])[-1])')

# The interpreter and its library, without modules for development, databases and terminals.
install -D -m 0755 "$(readlink -f "$python")" "$tree/libexec/python3"
mkdir -p "$tree/bin" "$tree/lib/python$version"
tar -C "$stdlib" -c --exclude-from=- . <<'END' | tar -C "$tree/lib/python$version" -x --no-same-owner
__pycache__
EXTERNALLY-MANAGED
_pyrepl
config-*
curses
dbm
dist-packages
distutils
ensurepip
idlelib
lib-dynload/_*test*
lib-dynload/_crypt.*
lib-dynload/_curses*
lib-dynload/_dbm*
lib-dynload/_gdbm*
lib-dynload/_sqlite3*
lib-dynload/_tkinter*
lib-dynload/_xx*
lib-dynload/nis.*
lib-dynload/readline*
lib-dynload/xx*
lib2to3
pydoc_data
site-packages
sitecustomize.py
sqlite3
test
tests
tkinter
turtle.py
turtledemo
venv
END

(cd "$tree/lib/python$version" && find . -type f -printf "$stdlib/%P\n") >"$work/modules"

# The pinned packages. Only wheels, so that nothing is compiled and no package runs code here.
"$python" -m venv "$work/tools"
"$python" -m venv --without-pip "$work/venv"
use_pip "$work/tools/bin/python"
export PIP_NO_CACHE_DIR=1
install_locked "$work/venv/bin/python" requirements.lock
check_environment "$work/venv/bin/python"
mkdir -p "$tree/$packages"
cp -r "$work/venv/lib/python$version/site-packages/." agent "$tree/$packages"
cp LICENSE "$tree"
(
    cd "$tree/$packages"
    find . -type d \( -name __pycache__ -o -name tests \) -prune -exec rm -rf {} +
    find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.c' -o -name '*.h' \) -delete
    for service in botocore/data/*/; do
        [[ " $services " == *" $(basename "$service") "* ]] || rm -r "$service"
    done
    find botocore/data -name 'examples-*' -delete
    # The tree does not contain the programs of packages. Their hashes would depend on the build directory.
    sed -i '/^\.\.\//d' ./*.dist-info/RECORD
)

# Certificate authorities: see portable-roots.py. The line in ssl.py costs nothing if TLS is not used.
cp scripts/portable-roots.py "$tree/lib/python$version/_portable_roots.py"
echo 'import _portable_roots  # noqa: E402, F401' >>"$tree/lib/python$version/ssl.py"

# Debug symbols are a third of the size of the wheels.
! command -v strip >/dev/null || find "$tree/$packages" -name '*.so' -exec strip --strip-unneeded {} +

# Shared libraries. The interpreter contains the path of the loader and the search path. The latter is an RPATH, because
# that takes precedence over LD_LIBRARY_PATH. The C library loads libgcc_s when a thread is cancelled.
loader=$(patchelf --print-interpreter "$tree/libexec/python3")
{
    find "$tree" -name '*.so*' -exec ldd {} + -o -path "$tree/libexec/*" -type f -exec ldd {} +
    ldconfig -p | grep -F 'libgcc_s.so.1 ('
} | grep -oE '/[^ ]+\.so[^ ]*' | grep -v "^$tree/" | grep -v ':$' | sort -u >"$work/libraries"
while read -r library; do
    install -m 0644 "$library" "$tree/lib/$(basename "$library")"
done <"$work/libraries"
find "$tree/lib" -type f -exec chmod 0644 {} +
loader=$(basename "$loader")
chmod 0755 "$tree/lib/$loader"
# Separately and in this order: with both at once, patchelf 0.18 writes a program that crashes.
patchelf --force-rpath --set-rpath "$prefix/lib" "$tree/libexec/python3"
patchelf --set-interpreter "$prefix/lib/$loader" "$tree/libexec/python3"

# The copyright and license of each Debian package that something here comes from.
if command -v dpkg-query >/dev/null; then
    {
        cat "$work/libraries" "$work/modules"
        echo "$python"
    } | xargs -d '\n' readlink -f | sed 'p; s|^/usr||' | # some packages list their files without /usr
        { xargs -d '\n' dpkg-query --search 2>/dev/null || true; } | # most are not found under one of the two names
        cut -d: -f1 | sort -u | while read -r package; do
        install -D -m 0644 "/usr/share/doc/$package/copyright" "$tree/share/doc/$package/copyright"
    done
fi

# The command. With -I, no variable and no directory of the user changes what is imported. It also ignores
# PYTHONFAULTHANDLER, so use -X: an agent that hangs then shows where.
cat >"$tree/bin/registry-agent" <<END
#!$prefix/libexec/python3 -IBXfaulthandler
import sys

from agent.__main__ import main

sys.exit(main())
END
chmod 0755 "$tree/bin/registry-agent"

helper_program "$prefix/libexec/python3" "$prefix/${packages#./}" >"$tree/bin/docker-credential-registry-agent"
chmod 0755 "$tree/bin/docker-credential-registry-agent"

# Compiled once, and never compared with the source again. So file dates and a read-only directory do not matter.
"$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$tree" -p "$prefix" "$tree/lib/python$version"

# Check that nothing needed was left out above, and that the patched interpreter works.
"$tree/lib/$loader" --library-path "$tree/lib" "$tree/libexec/python3" -IB -c '
import ctypes, docker, socket, ssl, agent.app, agent.demo.story, agent.web.server, prometheus_client
from agent.edge.aws.session import primed_loader
primed_loader()
ssl.create_default_context()
'
# Everybody can read the tree, whatever the modes in the checkout are. All builds have the same dates.
chmod -R u=rwX,go=rX "$tree"
find "$tree" -exec touch --no-dereference --date=@0 {} +
