"""States of the agent and its surroundings in which a machine can boot."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.boot.conftest import DROP_INS, SECRETS, SILENT, SILENT_ECR, Boot, secret
from tests.rig.booted import Booted
from tests.rig.machine import METADATA_ADDRESS, Machine


@dataclass(frozen=True, slots=True)
class World:
    """What the agent finds at boot: files (path -> text) and options of the machine."""

    files: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    def boot(self, boot: Boot, tree: Path, scratch: Path) -> Booted:
        """Boot a machine from `tree` in this state, and wait until it has reached multi-user.target."""
        binds = {}
        for number, (path, text) in enumerate(self.files.items()):
            binds[path] = scratch / f"file{number}"
            binds[path].write_text(text)
        return boot(tree, *self.options, binds=binds).wait_for_boot()


_SILENT_SECRETS: Final = [
    secret(SILENT),
    {**secret(SILENT_ECR, name="ecr"), "username": "runner-native", "password": "runner-native"},
]
_DROP_IN: Final = f"{DROP_INS}/test.conf"
WORLDS: Final = {
    "all is well": World(),
    "no network": World(options=("--private-network",)),
    "AWS and registries are silent": World({f"{SECRETS}/all.json": json.dumps(_SILENT_SECRETS)}),
    "the secrets directory is missing": World(
        {"/etc/registry-agent/config.toml": '[secrets]\ndirectories = ["/nowhere/secrets"]\n'}
    ),
    "the settings are garbage": World({"/etc/registry-agent/config.toml": "\0 this = is [ not TOML"}),
    "the agent crashes at start": World({_DROP_IN: "[Service]\nExecStart=\nExecStart=/bin/false\n"}),
    "the agent hangs at start": World({_DROP_IN: "[Service]\nExecStart=\nExecStart=/bin/sleep infinity\n"}),
}


@contextmanager
def silence(outside: Machine) -> Iterator[None]:
    """Make registries, AWS and the metadata service accept every connection and never answer."""
    with ExitStack() as stack:
        stack.enter_context(outside.silent(SILENT))
        stack.enter_context(outside.namespace.listen(METADATA_ADDRESS, 80))
        yield
