"""What a base install, which only scores, says where something of an extra is asked of it."""

from __future__ import annotations

import re

TRAIN, SERVE, SPARK, RAY = "train", "serve", "spark", "ray"
_BRINGS = {
    TRAIN: "the training stack",
    SERVE: "the server",
    SPARK: "the engine `spark`",
    RAY: "the engine `ray`",
}


class MissingExtra(ModuleNotFoundError):
    """Something needs an extra that is not installed.

    Args:
      what: What was asked for.
      error: What could not be imported.
      extra: What brings it.
    """

    def __init__(self, what: str, error: ModuleNotFoundError, extra: str = TRAIN) -> None:
        super().__init__(
            f"{what} needs {error.name}, which {_BRINGS[extra]} brings: "
            f"pip install 'ranklite[{extra}]'",
            name=error.name,
        )


def lacks(extra: str) -> list[str]:
    """Distributions of an extra that are not installed, as the installed package names them.

    Args:
      extra: Its name in setup.cfg.

    Returns:
      Their names; none where RankLite itself is not installed, but runs from a checkout.
    """
    from importlib import metadata  # it takes a tenth of what loading a scorer does

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


def explained(what: str, error: ModuleNotFoundError, extra: str = TRAIN) -> ModuleNotFoundError:
    """The error to raise for a failed import: one that names the extra, where that is the reason.

    Args:
      what: What was asked for.
      error: What the import raised.
      extra: What brings all that it needs.
    """
    ours = (error.name or "").partition(".")[0] == "ranklite"
    return error if ours or not lacks(extra) else MissingExtra(what, error, extra)
