"""Generates the default log: clicks drawn from known probabilities, so the best AUC is known."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.evaluation import metrics

Array = npt.NDArray[Any]

VERSION = 2  # of the generator: a change of what it draws needs another one
EVAL_SHARE = TEST_SHARE = 0.1
LOG_FILE, TRUTH_FILE = "log.csv", "truth.json"

_USERS, _ITEMS, _CATEGORIES, _TAGS, _DEVICES = 300, 150, 12, 20, 3
_FACTORS = 4
_START = 1_767_225_600  # 2026-01-01, UTC
_SECONDS = 60 * 24 * 3600


def generate(folder: str, rows: int = 40_000, seed: int = 7) -> str:
    """Writes a log and the truth about it; a folder that holds both already is left alone.

    The probability of a click is  sigmoid(u + i + <p_u, q_i> + c[category, hour] + t[tags] +
    d[device, category] + f(price)).  A tenth of the users and items appear in the last fifth of the
    time only. The probabilities stay out of the log; the truth says what they would have scored.

    Args:
      folder: Where `log.csv` and `truth.json` go; made if needed.
      rows: Rows of the log.
      seed: The same seed gives the same bytes.

    Returns:
      Path of the log.
    """
    path, truth_path = os.path.join(folder, LOG_FILE), os.path.join(folder, TRUTH_FILE)
    key = {"version": VERSION, "rows": rows, "seed": seed}
    if os.path.exists(path) and os.path.exists(truth_path):
        with open(truth_path, encoding="utf-8") as file:
            if json.load(file).items() >= key.items():
                return path
    columns, clicks, probabilities = _draw(rows, np.random.default_rng(seed))
    best = {
        split: metrics.binary_metrics(clicks[part], probabilities[part])
        for split, part in _splits(rows).items()
    }
    os.makedirs(folder, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.remove(truth_path)  # killed between the two files, a log has no truth of another one
    header = ",".join(["click", *columns])
    lines = map(",".join, zip(clicks.astype(str), *columns.values(), strict=True))
    _write(path, "\n".join([header, *lines]) + "\n")
    _write(truth_path, json.dumps({**key, "best": best}, indent=2))
    return path


def _splits(rows: int) -> dict[str, slice]:
    """Rows of each split by time, as LogExampleGen divides them."""
    held_out, test = int(rows * (EVAL_SHARE + TEST_SHARE)), int(rows * TEST_SHARE)
    train = rows - held_out
    return {
        "train": slice(0, train),
        "eval": slice(train, rows - test),
        "test": slice(rows - test, rows),
    }


def _draw(rows: int, rng: np.random.Generator) -> tuple[dict[str, Array], Array, Array]:
    """Columns as texts, clicks [R] and their probabilities [R]."""
    time = np.sort(rng.integers(_START, _START + _SECONDS, rows))
    late = np.arange(rows) >= 0.8 * rows
    users = _pick(rng, rows, _USERS, 0.7, late)
    items = _pick(rng, rows, _ITEMS, 0.9, late)
    category = rng.integers(0, _CATEGORIES, _ITEMS)[items]
    hour, weekday = time // 3600 % 24, (time // 86400 + 4) % 7
    device = rng.integers(0, _DEVICES, rows)
    price = np.exp(rng.normal(2.5, 0.8, _ITEMS))[items]
    age = rng.integers(16, 80, _USERS)[users]
    has_tag = rng.random((_ITEMS, _TAGS)) < 0.12
    p = rng.normal(0, 0.45, (_USERS, _FACTORS))
    q = rng.normal(0, 0.8, (_ITEMS, _FACTORS))
    by_hour = rng.normal(0, 0.7, (_CATEGORIES, 4))[category, hour // 6]
    logit = (
        -1.1
        + rng.normal(0, 0.5, _USERS)[users]
        + rng.normal(0, 0.5, _ITEMS)[items]
        + (p[users] * q[items]).sum(axis=1)
        + by_hour
        + (has_tag * rng.normal(0, 0.6, _TAGS)).sum(axis=1)[items]
        + rng.normal(0, 0.6, (_DEVICES, _CATEGORIES))[device, category]
        - 0.5 * (np.log(price) - 2.5)
        + 0.3 * np.sin(age / 10)
    )
    probabilities = 1 / (1 + np.exp(-logit))
    clicks = (rng.random(rows) < probabilities).astype(np.int64)
    tags = np.array(["|".join(f"tag{t}" for t in np.flatnonzero(row)[:4]) for row in has_tag])
    columns = {
        "user": np.char.add("u", users.astype(str)),
        "item": items.astype(str),
        "category": np.char.add("category", category.astype(str)),
        "tags": tags[items],
        "price": np.where(rng.random(rows) < 0.1, "", np.char.mod("%.2f", price)),
        "age": np.where(rng.random(rows) < 0.2, "", age.astype(str)),
        "hour": hour.astype(str),
        "weekday": weekday.astype(str),
        "device": np.array(["phone", "tablet", "desktop"])[device],
        "timestamp": time.astype(str),
    }
    return columns, clicks, probabilities


def _pick(rng: np.random.Generator, rows: int, size: int, power: float, late: Array) -> Array:
    """Ids [R] with a long tail; the last tenth of them are chosen in late rows only."""
    weights = 1 / np.arange(1, size + 1) ** power
    rng.shuffle(weights)
    newcomers = np.arange(size) >= 0.9 * size
    early = np.where(newcomers, 0.0, weights)
    drawn = rng.choice(size, rows, p=early / early.sum())
    later = rng.choice(size, rows, p=weights / weights.sum())
    return np.where(late, later, drawn)


def _write(path: str, text: str) -> None:
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".tmp", path)
