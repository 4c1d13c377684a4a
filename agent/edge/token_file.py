"""Reads a file with a bearer token: `secrets.token_file`, `report.token_file`, `status.token_file`, or AWS's."""

from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls
from agent.edge.regular_file import read_regular
from agent.model.document_text import DocumentError, text_of
from agent.model.sensitive import Sensitive

_LONGEST: Final = 1 << 16
_DEADLINE_S: Final = 5.0
_READS: Final = BlockingCalls("token-files", limit=16)


class TokenFileError(OSError):
    """A token file without a usable token. The text names the file and what is wrong."""


async def read_token(path: Path) -> Sensitive:
    """Do the same as `read_token_file`, in a thread. A file system that does not answer is a TokenFileError too."""
    try:
        return await _READS.call(path, lambda: read_token_file(path), timeout=_DEADLINE_S)
    except TokenFileError:
        raise
    except OSError as error:  # late, or there is no thread for it
        reason = error.strerror or "its file system does not answer"
        raise TokenFileError(f"token file {path} cannot be read: {reason}") from None


def read_token_file(path: Path) -> Sensitive:
    """Return the bearer token in `path` without white space around it. Reads from disk, so not in the event loop.

    Raises TokenFileError if the file is not regular, not readable, empty, longer than 64 KiB, or not valid in a header.
    """
    try:
        token = text_of(read_regular(path, _LONGEST + 1)).strip()
    except DocumentError as error:
        raise TokenFileError(f"token file {path} {error}") from None
    except OSError as error:
        raise TokenFileError(f"token file {path} cannot be read: {error.strerror}") from error
    if not token.isascii():
        raise TokenFileError(f"token file {path} contains characters that are not ASCII")
    if not token or len(token) > _LONGEST or not token.isprintable():
        raise TokenFileError(f"token file {path} does not contain one line of at most 64 KiB")
    return Sensitive(token)
