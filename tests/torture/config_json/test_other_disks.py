"""Errors of file systems that are not available here: not every kernel has ext4 quotas, and NFS needs a server."""

import errno
import os
from pathlib import Path
from typing import Any, Final

import pytest

from agent.edge import atomic_file
from agent.edge.docker_config import DockerConfigFile
from agent.model.docker_config import Document
from agent.model.problems.stored_login import ConfigUnwritable
from tests.problems import raises_problem
from tests.torture.config_json.documents import FOREIGN, lay, temporary_files

ANSWERS: Final = {
    errno.EDQUOT: "the disk quota is used up",
    errno.ENOSPC: "the disk is full",
    errno.EROFS: "the file system is read-only",
    errno.ESTALE: "stale file handle",
    errno.EIO: "input/output error",
    errno.EACCES: "permission denied",
}
# Steps of a write that can fail: creating the temporary file, syncing it to disk, setting its mode, the exchange.
STEPS: Final = ("open", "fsync", "fchmod", "exchange")


def _refuse(patch: pytest.MonkeyPatch, step: str, number: int) -> None:
    owner: Any = atomic_file if step == "exchange" else os
    real: Any = getattr(owner, step)

    def answer(*args: Any, **named: Any) -> Any:
        if step == "open" and not args[1] & os.O_CREAT:  # reading still works
            return real(*args, **named)
        raise OSError(number, os.strerror(number))

    patch.setattr(owner, step, answer)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", ANSWERS, ids=lambda number: errno.errorcode[number])
async def test_a_write_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str) -> None:
    """Whichever step fails, the reason is given in words, the old file is unchanged, and no temporary file is left."""
    config = DockerConfigFile(tmp_path)
    lay(config.path)

    def changed(document: Document) -> Document:
        return {**document, "auths": {}}

    await config.read()
    before = config.path.stat()
    with monkeypatch.context() as patch:
        _refuse(patch, step, number)
        with raises_problem(ConfigUnwritable, match=ANSWERS[number]):
            await config.update(changed)
    assert config.path.read_text() == FOREIGN
    assert (config.path.stat().st_ino, config.path.stat().st_mode) == (before.st_ino, before.st_mode)
    assert temporary_files(tmp_path) == []
    assert await config.update(changed) == changed(await config.read())
