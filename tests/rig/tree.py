"""A Debian tree as the root directory of programs that share the rig's network."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.rig.namespace import Namespace
from tests.rig.waiting import PATIENCE_S

_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
# The mounts belong to the program's own namespace, so they end with it, and so does all that it writes into the tree.
_CHROOT: Final = """
tree=$1 scratch=$2 home=$3 shown=$4; shift 4
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay -o "lowerdir=$tree,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$scratch/root"
cd "$scratch/root"
mkdir -p ".$home" ".$shown"
touch etc/hosts
for path in /proc /sys /dev /run /etc/hosts /etc/ssl/certs/ca-certificates.crt "$home" "$shown"; do
    mount --rbind "$path" ".$path"
done
exec chroot . "$@"
"""


class Tree:
    """Runs programs of `tree` in `namespace`. They also see the directory `shown`. What they write there stays."""

    def __init__(self, namespace: Namespace, tree: Path, scratch: Path, shown: Path) -> None:
        self._namespace: Final = namespace
        self._places: Final = (tree, scratch)
        self._shown: Final = shown

    def run(
        self,
        args: Sequence[str | Path],
        home: Path,
        env: Mapping[str, str],
        stdin: str = "",
        timeout: float = PATIENCE_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run `args` with the home directory `home`. Apart from it, what the program writes is lost."""
        chroot = ("unshare", "--mount", "sh", "-ec", _CHROOT, "sh", *self._places, home, self._shown)
        own = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": str(home), **env}
        return self._namespace.run(*chroot, *args, env=own, stdin=stdin, timeout=timeout)
