"""Holds what lies on the disk to what was written: pushed versions and artifacts of runs."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Iterator

from ranklite.components import manifest
from ranklite.components.manifest import DamagedArtifact
from ranklite.models.serving.metadata_file import DamagedFile, read_metadata
from ranklite.models.serving.versions import check_version, model_files, versions
from ranklite.pipeline.runs.folders import Folders


@dataclasses.dataclass(frozen=True)
class Verified:
    """What was read again.

    Attributes:
      what: A version's folder, or the artifacts of a pipeline.
      files: How many files were held to their digests.
      size: Their bytes.
      wrong: A line for everything that is not as it was written; empty where all is whole.
    """

    what: str
    files: int
    size: int
    wrong: list[str]

    def __str__(self) -> str:
        if self.wrong:
            return "\n".join([f"{self.what}: DAMAGED", *(f"  {line}" for line in self.wrong)])
        return f"{self.what}: whole ({self.files} files, {self.size / 1e6:.1f} MB)"


def pushed(path: str) -> list[Verified]:
    """Verifies a version, or all versions in a folder.

    Raises:
      FileNotFoundError: There is no version.
    """
    folders = [path]
    if not model_files(path):
        folders = [os.path.join(path, str(number)) for number in versions(path)]
    if not folders:
        raise FileNotFoundError(f"no pushed model in {path!r}: it has no version folder")
    return [_version(folder) for folder in folders]


def of_pipeline(folders: Folders) -> list[Verified]:
    """Verifies the artifacts of a pipeline's runs, and the versions in its own folder.

    Raises:
      FileNotFoundError: Nothing was run there.
    """
    if not os.path.isdir(folders.artifacts):
        raise FileNotFoundError(f"no runs of {folders.name} in {folders.runs!r}")
    own = pushed(folders.pushed) if versions(folders.pushed) else []
    return [_artifacts(folders), *own]


def _version(folder: str) -> Verified:
    try:
        check_version(folder)
    except DamagedFile as error:
        return Verified(folder, 0, 0, [str(error)])
    except OSError as error:
        return Verified(folder, 0, 0, [f"{error.filename}: {error.strerror}"])
    files = read_metadata(folder).get("files")
    if not files:
        return Verified(folder, 0, 0, ["model.json says no digests: an earlier version wrote it"])
    return Verified(folder, len(files), sum(entry["bytes"] for entry in files.values()), [])


def _artifacts(folders: Folders) -> Verified:
    wrong, files, size = [], 0, 0
    for uri in _with_manifest(folders.artifacts):
        try:
            held = manifest.read(uri) or {"files": {}}
            manifest.check_against(uri, held)
        except DamagedArtifact as error:
            wrong.append(str(error))
            continue
        files += len(held["files"])
        size += sum(entry["bytes"] for entry in held["files"].values())
    return Verified(folders.artifacts, files, size, wrong)


def _with_manifest(artifacts: str) -> Iterator[str]:
    for path in sorted(glob.glob(os.path.join(glob.escape(artifacts), "*", "*", manifest.PATTERN))):
        yield manifest.uri_of(path)
