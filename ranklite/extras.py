"""What a base install, which only scores, says where the training stack is asked of it."""

from __future__ import annotations

import re
from importlib import metadata

TRAIN = "train"


class MissingExtra(ModuleNotFoundError):
    """Something needs the training stack, which is an extra that is not installed.

    Args:
      what: What was asked for.
      error: What could not be imported.
    """

    def __init__(self, what: str, error: ModuleNotFoundError) -> None:
        super().__init__(
            f"{what} needs {error.name}, which the training stack brings: "
            f"pip install 'ranklite[{TRAIN}]'",
            name=error.name,
        )


def lacks(extra: str) -> list[str]:
    """Distributions of an extra that are not installed, as the installed package names them.

    Args:
      extra: Its name in setup.cfg.

    Returns:
      Their names; none where RankLite itself is not installed, but runs from a checkout.
    """
    try:
        requirements = metadata.requires("ranklite") or []
    except metadata.PackageNotFoundError:
        return []
    absent = []
    for requirement in requirements:
        if re.search(rf"extra\s*==\s*['\"]{extra}['\"]", requirement):
            [name] = re.findall(r"^[A-Za-z0-9._-]+", requirement)
            try:
                metadata.version(name)
            except metadata.PackageNotFoundError:
                absent.append(name)
    return absent


def explained(what: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error to raise for a failed import: one that names the extra, where that is the reason.

    Args:
      what: What was asked for.
      error: What the import raised.
    """
    ours = (error.name or "").partition(".")[0] == "ranklite"
    return error if ours or not lacks(TRAIN) else MissingExtra(what, error)
