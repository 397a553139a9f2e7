"""Kills runs at moments over all their stages, and searches; each ends in the same bytes.

    python -m benchmarks.kills [--kills 48] [--chains 2] [--folder FOLDER] [--table FILE]

Of each of two small configurations, one that searches its settings and one that searches a recipe,
one run goes through undisturbed. Then chains of runs go the same way in folders of their own: a run
is killed by SIGKILL, with all its processes, at one moment; the same command starts it again, and
it is killed at the next one; behind its last moment the chain's run may end. Moments are shares of
the time that each stage took undisturbed, and files that appear: trials of a search, a push under
way, a version. All the while a reader looks into the folder of pushed versions
and holds what it sees to its digests.

In the end every chain has pushed one version, whose files are those of the undisturbed run byte for
byte. Left out is what a clock or a counter says: measured times, ids of ML Metadata, the page.
Prints a table, and with `--table` writes it into a file of Markdown; 1 where something did not
hold. It takes about 25 minutes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import yaml

from benchmarks import small_run
from benchmarks.killed_runs import NAME, Chain, Moment, moments
from ranklite.models import files
from ranklite.models.reporting.tables import table
from ranklite.pipeline.local.synthetic import generate

ROWS = 3000
PAST: list[dict[str, Any]] = [
    {"name": "recent", "kind": "history", "of": "item", "by": "user", "length": 5},
    {"name": "item_stats", "kind": "aggregate", "by": "item"},
]
SETTINGS: dict[str, Any] = small_run.SETTINGS | {
    "name": NAME,
    "features": [*small_run.SETTINGS["features"], *PAST],
    "item": "item",
    "training": {"epochs": 2, "batch_size": 64},
    "gates": small_run.GATES,
}
QUANTIZE = {"technique": "quantize", "epochs": 1}
SEARCHES: dict[str, dict[str, Any]] = {
    "settings": {
        "tune": {"trials": 3, "keys": ["model.embedding_dim", "training.learning_rate"]},
        "compression": [{"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 1}, QUANTIZE],
    },
    "recipe": {
        "compression": {
            "budget": {"bytes": "1M"},
            "recipes": {
                "pruned": [{"technique": "prune", "tower": {"sparsity": 0.5}, "epochs": 1}],
                "int8": [QUANTIZE],
            },
        },
    },
}
TIMED = re.compile(r"^latency_|_per_second$")  # keys of figures that a clock measured
# Keys of model.json: when, ids of ML Metadata, and the digests of these and of what they are in.
COUNTED = ("created", "lineage", "files", "sha256")
PAGES = ("report.html",)  # they say the run's number and its times
BEFORE = "<!-- make kills writes what follows -->\n\n"
BEHIND = "\n<!-- up to here -->\n"
KILLS = 48


@dataclasses.dataclass(frozen=True)
class Kill:
    """A moment, and what was under way by then.

    Attributes:
      search: Which configuration.
      moment: What was waited for.
      running: Stages that had begun and not ended; none between two stages.
      done: How many stages had ended in this run, those that the cache served among them.
    """

    search: str
    moment: Moment
    running: list[str]
    done: int


def without_clocks(value: Any) -> Any:
    """A JSON document without figures that a clock measured."""
    if isinstance(value, dict):
        return {k: without_clocks(v) for k, v in value.items() if not TIMED.search(k)}
    return [without_clocks(each) for each in value] if isinstance(value, list) else value


def differences(version: str, other: str) -> list[str]:
    """Files of two versions that differ, in words; what a clock or a counter says may.

    Args:
      version: Folder of a version.
      other: Folder of another one.
    """
    folders = pathlib.Path(version), pathlib.Path(other)
    names = [
        {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    ]
    found = [f"{name} is in one of them only" for name in sorted(names[0] ^ names[1])]
    for name in sorted(names[0] & names[1]):
        contents = [folder.joinpath(name).read_bytes() for folder in folders]
        if contents[0] == contents[1] or name in PAGES:
            continue
        if not name.endswith(".json"):
            found.append(f"{name} differs")
            continue
        documents = [without_clocks(json.loads(content)) for content in contents]
        if name == "model.json":
            documents = [{k: v for k, v in d.items() if k not in COUNTED} for d in documents]
        one, two = documents
        keys = sorted(key for key in {*one, *two} if one.get(key) != two.get(key))
        if keys:
            found.append(f"{name} differs in {', '.join(keys)}")
    return found


def tried(
    folder: pathlib.Path, search: str, kills: int, chains: int
) -> tuple[list[Kill], list[str]]:
    """All chains of one configuration.

    Args:
      folder: A new one for all of it.
      search: Which configuration of `SEARCHES`.
      kills: How many.
      chains: In how many folders.

    Returns:
      The kills, and what did not hold.
    """
    generate(str(folder / "data"), rows=ROWS)
    settings = {**SETTINGS, **SEARCHES[search]}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    undisturbed = Chain(folder, "undisturbed")
    whole = undisturbed.to_the_end()
    if undisturbed.wrong:
        return [], undisturbed.wrong
    planned = moments({stage: whole.ended[stage] for stage in whole.begun}, kills)
    made, wrong = [], list[str]()
    for number in range(chains):
        chain = Chain(folder, f"chain-{number + 1}")
        for moment in planned[number::chains]:
            run = chain.until(moment)
            if run.code != -signal.SIGKILL:
                end = "\n".join(run.printed[-20:])
                chain.wrong.append(f"{moment.stage}, {moment}: it ended by itself:\n{end}")
                break
            made.append(Kill(search, moment, run.running, len(run.ended)))
            print(f"  {search}, chain {number + 1}: {'; '.join(_row(made[-1]))}", flush=True)
        chain.to_the_end()
        if chain.version:
            chain.wrong += differences(chain.version, undisturbed.version)
        said = "; ".join(chain.wrong) or "the same bytes"
        print(f"  {search}, chain {number + 1}: {chain.looks:,} looks, {said}", flush=True)
        wrong += [f"{search}, chain {number + 1}: {each}" for each in chain.wrong]
    return made, wrong


def _row(kill: Kill) -> list[str]:
    running = ", ".join(kill.running) or "between two stages"
    return [kill.moment.stage, str(kill.moment), running, str(kill.done)]


def document(kills: Sequence[Kill], wrong: Sequence[str]) -> str:
    """The table in Markdown.

    Args:
      kills: All of them.
      wrong: What did not hold.
    """
    stages: dict[tuple[str, str], list[Kill]] = {}
    for kill in kills:
        stages.setdefault((kill.search, kill.moment.stage), []).append(kill)
    lines = ["| search | stage | killed | when | under way by then |", "|---|---|---|---|---|"]
    for (search, stage), killed in stages.items():
        when = ", ".join(str(kill.moment) for kill in killed)
        under_way = sorted({name for kill in killed for name in kill.running}) or ["none"]
        cells = [search, stage, str(len(killed)), when, ", ".join(under_way)]
        lines.append(f"| {' | '.join(cells)} |")
    held = "; ".join(wrong) or "every chain of restarts pushed one version, the same bytes"
    return "\n".join([*lines, "", f"{len(kills)} kills: {held}."])


def write(path: str, content: str) -> None:
    """Puts the table into its place in a file.

    Raises:
      ValueError: The file has no place for it.
    """
    text = pathlib.Path(path).read_text(encoding="utf-8")
    head, found, rest = text.partition(BEFORE)
    _, end, tail = rest.partition(BEHIND)
    if not found or not end:
        raise ValueError(f"{path} lacks the lines {BEFORE.strip()!r} and {BEHIND.strip()!r}")
    files.write(path, f"{head}{BEFORE}{content}\n{BEHIND}{tail}".encode())


def main() -> int:
    """Kills, prints the table, and says whether all held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how many (default: {KILLS})")
    parser.add_argument("--chains", type=int, default=2, help="folders a configuration")
    parser.add_argument("--folder", help="keeps the runs there (default: a temporary one)")
    parser.add_argument("--table", metavar="FILE", help="writes the table into this Markdown file")
    arguments = parser.parse_args()
    started = time.monotonic()
    kills, wrong = list[Kill](), list[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(arguments.folder or name)
        for number, search in enumerate(SEARCHES):
            share = (arguments.kills + number) // len(SEARCHES)
            (folder / search).mkdir(parents=True)
            made, bad = tried(folder / search, search, share, arguments.chains)
            kills, wrong = kills + made, wrong + bad
    print(table(["stage", "when", "under way", "stages done"], [_row(kill) for kill in kills]))
    content = document(kills, wrong)
    print(f"\n{content}\n{time.monotonic() - started:.0f} s")
    if arguments.table:
        write(arguments.table, content)
    return 1 if wrong or len(kills) < arguments.kills else 0


if __name__ == "__main__":
    sys.exit(main())
