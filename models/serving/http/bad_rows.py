"""Which value of a request a scorer refuses: it is asked again, part by part.

That keeps one judge of what a value may be: the scorer, by the rules that training reads logs by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ranklite.models.export.target import UnreadableModel
from ranklite.models.serving.http.problems import Problem, absent, invalid
from ranklite.models.serving.scorer import Scorer

Row = Mapping[str, Any]

_ALLOWED = {
    "string": "text, true, false or a whole number",
    "int64": "a whole number from -2^63 + 1 to 2^63 - 1, as a number or as text",
    "float32": "a finite number of float32, as a number or as text",
}
_MISSING = "null where it is missing"


def allowed(feature: Mapping[str, Any]) -> str:
    """What a feature takes, in words.

    Args:
      feature: Its entry in `model.json`.

    Example:
        >>> allowed({"name": "price", "dtype": "float32"})
        'a finite number of float32, as a number or as text; null where it is missing'
    """
    value = _ALLOWED[feature.get("dtype", "float32")]
    if feature.get("max_length") is None:
        return f"{value}; {_MISSING}"
    between = feature.get("separator")
    text = f", or text with {between!r} between them," if between else ""
    return f"a list ({feature['max_length']} values are read){text} of: {value}; {_MISSING}"


def refused(scorer: Scorer, rows: Sequence[Row], place: Callable[[int, str], str]) -> Problem:
    """The problem of the first row that a scorer refuses.

    Args:
      scorer: Which refused them.
      rows: What it was asked to score.
      place: The part of the body that holds a feature of a row, as a JSON pointer.
    """
    index = _first(scorer, rows)
    if index is None:  # they are refused together only, so that no row is to blame
        return Problem(422, "these rows cannot be scored together")
    row = rows[index]
    features = {entry["name"]: entry for entry in scorer.metadata["features"]}
    nothing = dict.fromkeys(features)
    for name, feature in features.items():
        about = {"row": index, "field": name}
        at = f"{place(index, name)}/{escaped(name)}"
        if name not in row:
            if not feature.get("past"):
                return absent(at, allowed(feature), **about)
        elif _fails(scorer, [{**nothing, name: row[name]}]):
            return invalid(at, row[name], allowed(feature), **about)
    return Problem(422, f"{place(index, '')} has no score: the model gives no number for it")


def _first(scorer: Scorer, rows: Sequence[Row]) -> int | None:
    """Number of the first row that is refused: by halves, so that it costs two scorings."""
    first, last = 0, len(rows)
    if not _fails(scorer, rows):
        return None
    while last - first > 1:
        middle = (first + last) // 2
        if _fails(scorer, rows[first:middle]):
            last = middle
        else:
            first = middle
    return first


def _fails(scorer: Scorer, rows: Sequence[Row]) -> bool:
    try:
        scorer.score(rows)
    except UnreadableModel:
        raise
    except (KeyError, ValueError):
        return True
    return False


def escaped(name: str) -> str:
    """A name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
