"""Loads a file that nobody vouches for in a process of its own: a crash is its answer, not ours."""

from __future__ import annotations

import os
import sys

from ranklite.models.export import export_target
from ranklite.models.export.target import UnreadableModel

_SECONDS = 60.0


def check(target: str, content: bytes) -> None:
    """Loads a file and runs each of its signatures on a row, in a child process.

    Args:
      target: Name of its export target.
      content: The file.

    Raises:
      UnreadableModel: The runtime refuses it, crashes, or does not come to an end.
    """
    import signal  # a scorer that trusts its folder imports this module and needs none of them
    import subprocess
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".model") as file:
        file.write(content)
        file.flush()
        command = [sys.executable, "-m", __name__, target, file.name]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=_SECONDS, env=_environment()
            )
        except subprocess.TimeoutExpired as error:
            raise UnreadableModel(
                f"the {target} runtime takes more than {_SECONDS:g} s with the file"
            ) from error
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        raise UnreadableModel(f"the file crashes the {target} runtime ({name}); it is not loaded")
    if ended.returncode:
        raise UnreadableModel(ended.stderr.strip().rpartition("\n")[2])


def _environment() -> dict[str, str]:
    """The child finds what this process found."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def main(target: str, path: str) -> int:
    """The child: 0 where the file runs; what is wrong with it goes to standard error."""
    try:
        export_target(target).read(path).try_out()
    except UnreadableModel as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
