"""Which files of the data folder the globs of a configuration match, by span."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable
from typing import TypeAlias

from ranklite.components.log_example_gen import spans

FilesBySpan: TypeAlias = dict[str | None, list[pathlib.Path]]  # None: its name has no span


def of_glob(pattern: str, root: pathlib.Path, data_root: str) -> FilesBySpan:
    """Files of a glob by span; None stands for a glob without spans."""
    if pathlib.PurePath(pattern).is_absolute() or ".." in pathlib.PurePath(pattern).parts:
        raise ValueError(
            f"{pattern!r}: files are named relative to the data folder and lie inside it"
        )
    if not any(part not in ("", ".") for part in pattern.split("/")):
        raise ValueError(f"{pattern!r} names no file; write a glob such as '*.csv'")
    spanned = bool(spans.placeholders(pattern))
    files: FilesBySpan = {}
    for path in root.glob(spans.as_glob(pattern)):
        if not path.is_file():
            continue
        if not path.resolve().is_relative_to(root):
            raise ValueError(f"{path} leads out of the data folder {data_root}")
        span = spans.span_of(pattern, path.relative_to(root).as_posix()) if spanned else None
        if span is not None or not spanned:
            files.setdefault(span, []).append(path)
    if not files:
        raise FileNotFoundError(f"no file matches {pattern!r} in {data_root}{_near(root)}")
    return files


def add(
    matched: dict[tuple[str, str], list[str]],
    key: tuple[str, str],
    files: FilesBySpan,
    wanted: Iterable[str | None],
) -> int:
    """Adds the files of a glob that belong to some spans; returns how many these are."""
    paths = sorted(path for span in wanted for path in files.get(span, []))
    known = matched.setdefault(key, [])
    known += [path for path in map(str, paths) if path not in known]
    return len(paths)


def no_files(pattern: str, wanted: list[str], files: FilesBySpan) -> FileNotFoundError:
    """The error where a glob matches no file of any of the spans that are wanted."""
    return FileNotFoundError(
        f"no file matches {pattern!r} for any of the spans {', '.join(wanted)}; there are files of "
        f"{', '.join(sorted(filter(None, files)))}"
    )


def _near(root: pathlib.Path) -> str:
    names: Iterable[str] = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    shown = list(names)[:10]
    return f"; it holds {', '.join(shown)}" if shown else "; it is empty"
