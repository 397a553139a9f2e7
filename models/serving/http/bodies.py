"""Bodies of requests: read within bounds, parsed, and checked down to the rows."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any, NoReturn

from starlette.requests import Request

from ranklite.models.serving.http.problems import Problem, absent, invalid
from ranklite.models.serving.http.settings import Limits

JSON = "application/json"
LATEST = 2.0**63 / 1e6  # seconds since 1970 that fit in 64 bits of microseconds
DEFAULT_K = 10
SECONDS = "seconds since 1970, a number"
OUTCOME = "a number from 0 to 1; null where the log has positives alone"
OBJECT = "an object with a value for each feature"

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that a user did.

    Attributes:
      row: The features that the model's past is made of.
      time: Seconds since 1970.
      outcome: Its label; None where the log has positives alone.
    """

    row: Row
    time: float
    outcome: float | None


@dataclasses.dataclass(frozen=True)
class RankBody:
    """The body of `POST /rank`.

    Attributes:
      user: Features of the user and the context.
      candidates: Features of each candidate.
      k: How many are asked for.
      history: The user's events, oldest first; None leaves them out.
      time: When they are ranked; None is now.
    """

    user: Row
    candidates: list[Row]
    k: int
    history: list[Event] | None
    time: float | None


async def read(request: Request, limits: Limits) -> Any:
    """The JSON of a request's body.

    Raises:
      Problem: It is not JSON, too large, or does not arrive.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        accepted = {"Accept-Post": JSON}
        raise Problem(415, f"the body is {kind or 'of no type'}; send {JSON}", headers=accepted)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "the body is compressed; send it as it is")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.max_body:
        raise _too_large(limits)
    try:
        content = await asyncio.wait_for(_content(request, limits), limits.timeout)
    except asyncio.TimeoutError:
        raise Problem(408, f"the body did not arrive within {limits.timeout:g} s") from None
    try:
        return json.loads(content.decode(), parse_constant=_no_number)
    except RecursionError:
        raise Problem(400, "the body is nested too deeply") from None
    except ValueError as error:
        raise Problem(400, f"the body is no JSON: {error}") from None


async def _content(request: Request, limits: Limits) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limits.max_body:  # it said no length, or a wrong one
            raise _too_large(limits)
    return bytes(content)


def _too_large(limits: Limits) -> Problem:
    # What is left of the body is not read, so that the connection ends here.
    text = f"the body has more than {limits.max_body:,} bytes"
    return Problem(413, text, headers={"Connection": "close"})


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON; null is a missing value")


def score_rows(body: Any, limits: Limits) -> list[Row]:
    """The rows that a body asks `POST /score` for, a mapping each.

    Raises:
      Problem: It is not of that form; the error says where.
    """
    _members(body, ("rows",), ())
    return _rows(body["rows"], "/rows", limits)


def rank_body(body: Any, limits: Limits) -> RankBody:
    """What a body asks `POST /rank` for.

    Raises:
      Problem: It is not of that form; the error says where.
    """
    _members(body, ("user", "candidates"), ("k", "history", "time"))
    k = body.get("k", DEFAULT_K)
    if not isinstance(k, int) or isinstance(k, bool) or k < 0:
        raise invalid("/k", k, "a whole number of 0 or more")
    if not isinstance(body["user"], dict):
        raise invalid("/user", body["user"], OBJECT)
    time, history = body.get("time"), body.get("history")
    return RankBody(
        body["user"],
        _rows(body["candidates"], "/candidates", limits),
        k,
        None if history is None else _events(history, limits),
        None if time is None else _number(time, "/time", -LATEST, LATEST, SECONDS),
    )


def _events(value: Any, limits: Limits) -> list[Event]:
    events = []
    for index, entry in enumerate(_rows(value, "/history", limits)):
        at = f"/history/{index}"
        _members(entry, ("row", "time"), ("outcome",), at)
        if not isinstance(entry["row"], dict):
            raise invalid(f"{at}/row", entry["row"], OBJECT)
        outcome = entry.get("outcome")
        if outcome is not None:
            outcome = _number(outcome, f"{at}/outcome", 0.0, 1.0, OUTCOME)
        moment = _number(entry["time"], f"{at}/time", -LATEST, LATEST, SECONDS)
        events.append(Event(entry["row"], moment, outcome))
    return events


def _rows(value: Any, at: str, limits: Limits) -> list[Row]:
    if not isinstance(value, list):
        raise invalid(at, value, "a list of objects")
    if len(value) > limits.max_rows:
        raise Problem(
            413, f"{at} has {len(value):,} entries; at most {limits.max_rows:,} are taken"
        )
    for index, row in enumerate(value):
        if not isinstance(row, dict):
            raise invalid(f"{at}/{index}", row, "an object", row=index)
    return value


def _members(body: Any, required: tuple[str, ...], optional: tuple[str, ...], at: str = "") -> None:
    allowed = ", ".join((*required, *(f"{name} (optional)" for name in optional)))
    if not isinstance(body, dict):
        raise invalid(at or "/", body, f"an object with {allowed}")
    for name in required:
        if name not in body:
            raise absent(f"{at}/{name}", f"an object with {allowed}")
    for name in body:
        if name not in required + optional:
            raise invalid(f"{at}/{name}", body[name], f"an object with {allowed}")


def _number(value: Any, at: str, least: float, most: float, allowed: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise invalid(at, value, allowed)
    return float(value)
