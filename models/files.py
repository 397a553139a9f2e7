"""Files that others read while they are written."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator

_BLOCK = 1 << 20  # bytes that are read at once


@contextlib.contextmanager
def replaced(path: str) -> Iterator[str]:
    """A temporary file beside a path, which it replaces at the end; an error leaves nothing of it.

    Its mode is that of any new file: what the process's umask leaves of 0666.
    """
    folder, name = os.path.split(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    os.close(descriptor)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def write(path: str, content: bytes) -> str:
    """Writes a file, its folder too if needed; a reader sees all of it or nothing.

    Returns:
      Its path.

    Raises:
      OSError: It cannot be written; nothing of it is left, and what was there before stays.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with replaced(path) as temporary, open(temporary, "wb") as file:
        file.write(content)
    return path


def sha256(path: str) -> str:
    """Of a file's content, in hexadecimal digits, however large it is."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def umask() -> int:
    """The permissions that new files of this process lack."""
    mask = os.umask(0)  # the only way to read it is to set it
    os.umask(mask)
    return mask
