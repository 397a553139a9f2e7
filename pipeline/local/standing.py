"""Whether a run would do anything: digests of all that it is made from, before TFX starts.

TFX answers that stage by stage, from its cache, once its ten seconds of imports are over. Where the
last run came to its end, the digests are that run's and what it made is there, every stage would be
served from the cache; then its outcome stands. The log is read last, where all else is the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import pathlib
import platform
import sysconfig
from collections.abc import Callable, Iterator

from ranklite.components import manifest
from ranklite.components.artifact_json import REPORT_FILE, pushed_version
from ranklite.components.log_example_gen.input_files import digest_of
from ranklite.models.export import TARGETS
from ranklite.models.files import write
from ranklite.models.serving.versions import check_version, latest_version
from ranklite.pipeline.config.run_config import RunConfig
from ranklite.pipeline.runs.folders import Folders
from ranklite.pipeline.runs.store import Run, latest_run

_LEFT_OUT = ("__pycache__", "node_modules")


@dataclasses.dataclass(frozen=True)
class Standing:
    """What a run was made from and what it came to, as it is kept beside the runs.

    Attributes:
      inputs: Digest of what it was made from, but for the log.
      log: Digest of the log.
      number: The run's.
      newest: The newest version in the folder that it pushes to, once it had ended.
    """

    inputs: str
    log: str
    number: int
    newest: str | None


def inputs(config: RunConfig, data_root: str, push_dir: str) -> str | None:
    """Digest of what a run is made from beside its log: configuration, code, installed packages.

    Args:
      config: Of the run.
      data_root: Folder of its log.
      push_dir: Folder of the pushed versions.

    Returns:
      64 hexadecimal digits; None where something else counts: what a model starts warm from.
    """
    if config.training.warm_start:
        return None
    digest = hashlib.sha256()
    parts = [
        config.model_dump_json(),
        os.path.abspath(data_root),
        os.path.abspath(push_dir),
        platform.python_version(),
        *_installed(),
    ]
    if config.schema_file:
        parts.append(pathlib.Path(config.schema_file).read_text(encoding="utf-8"))
    if config.source.query:  # which may read any file of the folder
        parts += [f"{path}:{s.st_size}:{s.st_mtime_ns}" for path, s in _files(data_root, config)]
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    for package in _packages(config):
        for path in sorted(_sources(package)):
            content = path.read_bytes()
            digest.update(f"{path.name}:{len(content)}:".encode() + content)
    return digest.hexdigest()


def keep(folders: Folders, inputs: str, run: Run, push_dir: str) -> None:
    """Keeps what a run that came to its end was made from, the log as it was then read."""
    log = digest_of(run.document("LogExampleGen", "report", REPORT_FILE)["files"])
    standing = Standing(inputs, log, run.number, _newest(push_dir))
    content = json.dumps(dataclasses.asdict(standing), indent=2).encode()
    write(folders.standing, content)


def standing_run(
    folders: Folders, inputs: str, log: Callable[[], str], push_dir: str
) -> Run | None:
    """The last run, where another one would do nothing, its stages told as served from the cache.

    Args:
      folders: Of the pipeline.
      inputs: Digest of what the run that is asked for would be made from, but for the log.
      log: Gives the digest of its log.
      push_dir: Folder of the pushed versions.
    """
    try:
        kept = Standing(**json.loads(pathlib.Path(folders.standing).read_text(encoding="utf-8")))
        if kept.inputs != inputs:
            return None
        run = latest_run(folders.metadata, folders.name)
        whole = run.number == kept.number and not run.stopped and _is_whole(run)
        if not whole or _newest(push_dir) != kept.newest or log() != kept.log:
            return None
        version = pushed_version(run.stages["Pusher"].folder("pushed_model") or "")
        if version is not None:
            check_version(version)
    except (OSError, ValueError, TypeError, KeyError):
        return None  # TFX finds out what is missing, and makes it
    stages = {
        node: dataclasses.replace(stage, state="cached") for node, stage in run.stages.items()
    }
    return dataclasses.replace(run, stages=stages)


def _newest(push_dir: str) -> str | None:
    newest = latest_version(push_dir)
    return os.path.abspath(newest) if newest else None


def _is_whole(run: Run) -> bool:
    """Whether everything that its stages wrote is still as it was."""
    uris = [uri for stage in run.stages.values() for uris in stage.outputs.values() for uri in uris]
    for uri in uris:
        manifest.check(uri)
    return all(os.path.exists(uri) for uri in uris)


def _files(data_root: str, config: RunConfig) -> Iterator[tuple[str, os.stat_result]]:
    """Path and state of the files in a folder that the digest of the log does not cover."""
    covered = {
        path
        for paths in config.ingest.matching_files(data_root).values()
        for path in map(os.path.realpath, paths)
    }
    for path in sorted(pathlib.Path(data_root).rglob("*")):
        if path.is_file() and os.path.realpath(path) not in covered:
            yield os.path.relpath(path, data_root), path.stat()


def _installed() -> list[str]:
    """Names and versions of the packages of this environment, wherever `sys.path` points by now."""
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    found = (path for place in places for path in pathlib.Path(place).glob("*.*-info"))
    return sorted({path.name for path in found})


def _packages(config: RunConfig) -> list[str]:
    """Names of the packages whose code the run executes, those of registered entries too."""
    modules = [*config.modules, *map(TARGETS.module, config.targets)]
    return sorted({"ranklite", *(module.split(".")[0] for module in modules)})


def _sources(package: str) -> Iterator[pathlib.Path]:
    """The files of a package, compiled ones left out."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        if spec is not None and spec.origin:
            yield pathlib.Path(spec.origin)
        return
    for root in spec.submodule_search_locations:
        for folder, folders, names in os.walk(root, followlinks=True):
            folders[:] = [name for name in folders if name not in _LEFT_OUT]
            yield from (pathlib.Path(folder, name) for name in names)
