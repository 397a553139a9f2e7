"""Generated logs of different kinds, each with its configuration: what defaults are tried on.

All are drawn from known probabilities, so that the best AUC that is reachable on the test split is
known. They differ in what a model has to find: main effects, crosses of ids, curves of numbers,
much noise, many columns, a drift over time.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ranklite.models.evaluation import metrics

Array = npt.NDArray[Any]
Features = list[dict[str, Any]]
START = 1_767_225_600  # 2026-01-01, UTC
DAYS = 40
TEST = 0.1  # share of the rows


@dataclasses.dataclass
class Log:
    """Columns of a log, in order of time, with the logits of its labels.

    Attributes:
      columns: By name.
      logit: [R].
      features: Of its configuration.
      roles: `user` and `item`, where it has them.
    """

    columns: dict[str, Array]
    logit: Array
    features: Features
    roles: dict[str, str] = dataclasses.field(default_factory=dict)


def _tail(rng: np.random.Generator, rows: int, size: int, power: float = 0.8) -> Array:
    """Ids [R] with a long tail."""
    weights = 1 / np.arange(1, size + 1) ** power
    return rng.permutation(size)[rng.choice(size, rows, p=weights / weights.sum())]


def _text(prefix: str, ids: Array) -> Array:
    return np.char.add(prefix, ids.astype(str))


def _categorical(*names: str) -> Features:
    return [{"name": name, "kind": "categorical"} for name in names]


def _numeric(*names: str) -> Features:
    return [{"name": name, "kind": "numeric"} for name in names]


def ads(rng: np.random.Generator, rows: int = 6_500) -> Log:
    """Few rows, main effects: a logistic regression is all that they carry."""
    sizes = {"site": 40, "slot": 6, "device": 4, "hour": 24, "campaign": 60, "region": 30}
    ids = {name: _tail(rng, rows, size) for name, size in sizes.items()}
    logit = np.full(rows, -1.4)
    for name, size in sizes.items():
        logit += rng.normal(0, 0.55, size)[ids[name]]
    bid = rng.lognormal(0, 1, rows)
    logit += 0.4 * np.log(bid)
    columns = {name: _text(name[0], values) for name, values in ids.items()}
    return Log(
        columns | {"bid": np.round(bid, 3)}, logit, [*_categorical(*sizes), *_numeric("bid")]
    )


def loans(rng: np.random.Generator, rows: int = 40_000) -> Log:
    """Numbers, curved and crossed, and few categories: what boosted trees are made for."""
    x = rng.normal(0, 1, (rows, 12))
    kind = rng.integers(0, 8, rows)
    logit = (
        -1.2
        + 0.9 * np.sin(1.5 * x[:, 0])
        + 0.8 * (np.abs(x[:, 1]) > 1)
        + 0.7 * x[:, 2] * (x[:, 3] > 0)
        - 0.5 * x[:, 4] ** 2 / 2
        + 0.4 * x[:, 5]
        + rng.normal(0, 0.5, 8)[kind] * x[:, 6]
    )
    names = [f"x{k}" for k in range(12)]
    columns = {name: np.round(x[:, k], 4) for k, name in enumerate(names)}
    columns["x0"] = np.where(rng.random(rows) < 0.1, "", columns["x0"].astype(str))
    return Log(
        columns | {"purpose": _text("p", kind)},
        logit,
        [*_numeric(*names), *_categorical("purpose")],
    )


def video(rng: np.random.Generator, rows: int = 42_000) -> Log:
    """Users and videos with tastes, an author, and the time of the day."""
    users, videos, authors = 1_500, 2_500, 300
    user, item = _tail(rng, rows, users), _tail(rng, rows, videos)
    author = rng.integers(0, authors, videos)[item]
    seconds = np.round(rng.lognormal(3, 0.8, videos), 1)[item]
    hour = rng.integers(0, 24, rows)
    taste, style = rng.normal(0, 0.5, (users, 3)), rng.normal(0, 0.6, (authors, 3))
    logit = (
        -0.3
        + rng.normal(0, 0.8, users)[user]
        + rng.normal(0, 0.5, videos)[item]
        + rng.normal(0, 0.6, authors)[author]
        + (taste[user] * style[author]).sum(axis=1)
        - 0.4 * (np.log(seconds) - 3)
        + 0.4 * np.cos(hour / 24 * 2 * np.pi)
    )
    columns = {
        "user": _text("u", user),
        "video": _text("v", item),
        "author": _text("a", author),
        "hour": hour,
        "seconds": seconds,
    }
    features = [*_categorical("user", "video", "author", "hour"), *_numeric("seconds")]
    return Log(columns, logit, features, {"user": "user", "item": "video"})


def shop(rng: np.random.Generator, rows: int = 600_000) -> Log:
    """Many rows, many rare ids, few positives, and a drift: items come and go, the rate falls."""
    users, items, brands = 40_000, 8_000, 400
    user = _tail(rng, rows, users)
    part = np.arange(rows) / rows
    item = (_tail(rng, rows, items // 2) + (part * items / 2).astype(int)) % items
    brand = rng.integers(0, brands, items)[item]
    price = np.round(rng.lognormal(3, 1, items), 2)[item]
    segment = rng.integers(0, 20, users)[user]
    channel = rng.integers(0, 6, rows)
    logit = (
        -2.6
        - 0.8 * part
        + rng.normal(0, 0.7, users)[user]
        + rng.normal(0, 0.6, items)[item]
        + rng.normal(0, 0.5, (20, brands))[segment, brand]
        + rng.normal(0, 0.4, (6, 20))[channel, segment]
        - 0.3 * (np.log(price) - 3)
    )
    columns = {
        "user": _text("u", user),
        "item": _text("i", item),
        "brand": _text("b", brand),
        "segment": _text("s", segment),
        "channel": _text("c", channel),
        "price": price,
    }
    features = [*_categorical("user", "item", "brand", "segment", "channel"), *_numeric("price")]
    return Log(columns, logit, features, {"user": "user", "item": "item"})


def wide(rng: np.random.Generator, rows: int = 60_000) -> Log:
    """40 columns of which ten matter, some of them in pairs."""
    sizes = rng.integers(3, 200, 25)
    ids = [_tail(rng, rows, size) for size in sizes]
    x = rng.normal(0, 1, (rows, 15))
    logit = np.full(rows, -1.0)
    for k in range(5):
        logit += rng.normal(0, 0.5, sizes[k])[ids[k]]
    for k, other in ((5, 6), (7, 8)):
        first, second = rng.normal(0, 0.7, (sizes[k], 2)), rng.normal(0, 0.7, (sizes[other], 2))
        logit += (first[ids[k]] * second[ids[other]]).sum(axis=1)
    logit += 0.5 * x[:, 0] + 0.5 * np.maximum(x[:, 1], 0) + 0.4 * x[:, 2] * x[:, 3]
    names = [f"c{k}" for k in range(25)], [f"n{k}" for k in range(15)]
    columns = {name: _text("v", ids[k]) for k, name in enumerate(names[0])}
    columns |= {name: np.round(x[:, k], 3) for k, name in enumerate(names[1])}
    return Log(columns, logit, [*_categorical(*names[0]), *_numeric(*names[1])])


def noise(rng: np.random.Generator, rows: int = 20_000) -> Log:
    """Hardly any signal among sparse ids: what there is to learn is to leave the rest alone."""
    user, item = _tail(rng, rows, 4_000, 0.5), _tail(rng, rows, 3_000, 0.5)
    place = rng.integers(0, 10, rows)
    logit = -2.0 + rng.normal(0, 0.35, 3_000)[item] + rng.normal(0, 0.3, 10)[place]
    columns = {"user": _text("u", user), "item": _text("i", item), "place": _text("p", place)}
    return Log(
        columns, logit, _categorical("user", "item", "place"), {"user": "user", "item": "item"}
    )


def crosses(rng: np.random.Generator, rows: int = 120_000) -> Log:
    """Strong signal in pairs of columns alone: each column says nothing by itself."""
    sizes = (50, 40, 30, 12)
    ids = [rng.integers(0, size, rows) for size in sizes]
    logit = np.full(rows, -0.5)
    for k, other in ((0, 1), (2, 3), (0, 3)):
        logit += rng.normal(0, 1.2, (sizes[k], sizes[other]))[ids[k], ids[other]]
    names = ("shelf", "store", "week", "month")
    columns = {name: _text(name[0], values) for name, values in zip(names, ids, strict=True)}
    return Log(columns, logit, _categorical(*names))


LOGS: dict[str, Callable[[np.random.Generator], Log]] = {
    "ads": ads,
    "loans": loans,
    "video": video,
    "shop": shop,
    "wide": wide,
    "noise": noise,
    "crosses": crosses,
}


def write(name: str, folder: pathlib.Path, seed: int = 1) -> dict[str, Any]:
    """Writes a log as `log.csv`, its best test AUC as `best.json`; returns its configuration."""
    rng = np.random.default_rng([seed, list(LOGS).index(name)])
    log = LOGS[name](rng)
    rows = len(log.logit)
    chance = 1 / (1 + np.exp(-log.logit))
    label = (rng.random(rows) < chance).astype(int)
    time = np.sort(rng.integers(START, START + DAYS * 86_400, rows))
    columns = {"label": label, **log.columns, "time": time}
    folder.mkdir(parents=True, exist_ok=True)
    lines = map(",".join, zip(*(np.asarray(c).astype(str) for c in columns.values()), strict=True))
    (folder / "log.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
    test = slice(rows - int(rows * TEST), rows)
    best = metrics.binary_metrics(label[test], chance[test].astype(np.float32))
    (folder / "best.json").write_text(json.dumps(best))
    return {
        "name": name,
        "source": {"files": "log.csv"},
        "label": "label",
        "timestamp": "time",
        "split": {"by": "time", "eval": TEST, "test": TEST},
        "features": log.features,
        **log.roles,
        "compression": [{"technique": "quantize", "epochs": 1}],
    }
