"""Where the trainings of a stage keep what they resume from, when it was killed.

The folder stands beside those of the stage's executions, which a next run has another one of, and
bears the digest of all that the trainings depend on: a changed configuration, log or program never
resumes a stranger's training.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence

from ranklite.components import finished_trials

FOLDER = ".unfinished"  # in a node's folder of logs
_TAIL = 65_536


@contextlib.contextmanager
def resumed(logs: str, digest: str) -> Iterator[None]:
    """Has the trainings inside resume from those of a run that was killed.

    Args:
      logs: Folder `<node>/<output>/<execution>` of the stage's TensorBoard logs. Nothing of an
        earlier work is left beside it.
      digest: Of settings, inputs and code.
    """
    place = os.path.join(os.path.dirname(os.path.normpath(logs)), FOLDER)
    import tensorflow as tf

    from ranklite.models.training import resume

    # Another version of TensorFlow may add numbers in another order.
    known = hashlib.sha256(f"{digest} {tf.__version__}".encode()).hexdigest()[:16]
    with resume.kept(finished_trials.folder(place, known)):
        yield
    with contextlib.suppress(OSError):
        os.rmdir(place)


def files_digest(files: Sequence[str]) -> str:
    """A digest of gzipped files that reads only their ends, where gzip has its checksum and size.

    Args:
      files: Their names, folders aside, count too, and so does their order.
    """
    told = []
    for path in files:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _TAIL))
            end = hashlib.sha256(file.read()).hexdigest()
        told.append([os.path.basename(path), size, end])
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
