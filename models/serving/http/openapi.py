"""What the server takes and answers, as OpenAPI 3.1, with the features of the version it serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranklite.models.serving.http import openapi_errors
from ranklite.models.serving.http.bad_rows import allowed
from ranklite.models.serving.http.bodies import DEFAULT_K, JSON
from ranklite.models.serving.http.settings import Limits

Schema = dict[str, Any]

_TYPES: dict[str, tuple[list[str], Any]] = {  # of a value in JSON, with an example
    "string": (["string", "integer", "boolean"], "a"),
    "int64": (["integer", "string"], 7),
    "float32": (["number", "string"], 1.5),
}
_VERSION = {"type": "string", "description": "The version that answers: its folder's name."}


def document(metadata: Mapping[str, Any], version: str, limits: Limits) -> Schema:
    """The description of a server.

    Args:
      metadata: `model.json` of the version.
      version: Its name.
      limits: Of the server.
    """
    features = metadata["features"]
    about = metadata.get("config") or {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"RankLite: {about.get('name') or 'a pushed model'}",
            "version": version,
            "description": f"Scores are probabilities of {about.get('label') or 'a positive'}.",
        },
        "paths": {
            "/score": {"post": _operation("score", "Score rows", limits)},
            "/rank": {"post": _operation("rank", "Rank candidates for one user", limits)},
            **openapi_errors.PLAIN_PATHS,
        },
        "components": {
            "schemas": {
                "Row": row(features),
                "Part": row(features, whole=False),
                **_bodies(features, limits),
                **openapi_errors.SCHEMAS,
            },
            "responses": openapi_errors.RESPONSES,
        },
    }


def row(features: list[Mapping[str, Any]], whole: bool = True) -> Schema:
    """The schema of a row.

    Args:
      features: Of `model.json`.
      whole: Whether all have to be there that are not computed from the past; of a candidate or a
        user, the other one has the rest.
    """
    required = [feature["name"] for feature in features if not feature.get("past")]
    schema = {
        "type": "object",
        "properties": {feature["name"]: _value(feature) for feature in features},
        "description": "Other members are ignored.",
    }
    return {**schema, "required": required} if whole else schema


def _value(feature: Mapping[str, Any]) -> Schema:
    kinds, example = _TYPES[feature.get("dtype", "float32")]
    words = allowed(feature)
    if feature.get("past"):
        words += "; may be left out: the history gives it, or the file, or there is none"
    if feature.get("max_length") is None:
        return {"type": [*kinds, "null"], "examples": [example], "description": words}
    items = {"type": [*kinds, "null"]}
    return {
        "type": ["array", "string", "null"] if feature.get("separator") else ["array", "null"],
        "items": items,
        "examples": [[example]],
        "description": words,
    }


def _operation(name: str, summary: str, limits: Limits) -> Schema:
    title = name.capitalize()
    return {
        "operationId": name,
        "summary": summary,
        "description": f"The body has at most {limits.max_body:,} bytes.",
        "requestBody": {"required": True, "content": _json(f"{title}Request")},
        "responses": {
            "200": {"description": summary, "content": _json(f"{title}Answer")},
            **openapi_errors.references(),
        },
    }


def _json(schema: str) -> Schema:
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _bodies(features: list[Mapping[str, Any]], limits: Limits) -> Schema:
    own = [feature for feature in features if not feature.get("past")]
    examples = {feature["name"]: _value(feature)["examples"][0] for feature in own}
    part, most = {"$ref": "#/components/schemas/Part"}, {"maxItems": limits.max_rows}
    time = {"type": "number", "description": "Seconds since 1970."}
    now = {"type": ["number", "null"], "description": "Seconds since 1970; null is now."}
    event = {
        "row": {**part, "description": "The features that the model's past is made of."},
        "time": time,
        "outcome": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    }
    history = {"type": ["array", "null"], "items": _object(event, ["row", "time"]), **most}
    last = len(own) - 1  # an example has to send something of both
    user = {f["name"]: examples[f["name"]] for f in own[:last]}
    candidate = {f["name"]: examples[f["name"]] for f in own[last:]}
    rank = {
        "user": {**part, "description": "The user and the context; candidates take precedence."},
        "candidates": {"type": "array", "items": part, **most},
        "k": {"type": "integer", "minimum": 0, "default": DEFAULT_K},
        "history": {**history, "description": "The user's events, oldest first."},
        "time": now,
    }
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, **most}
    scores = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}}
    place = {
        "index": {"type": "integer", "description": "Place in `candidates`, from 0."},
        "score": scores["items"],
    }
    ranking = {"type": "array", "items": _object(place, ["index", "score"])}
    return {
        "ScoreRequest": {**_object({"rows": rows}, ["rows"]), "examples": [{"rows": [examples]}]},
        "ScoreAnswer": _object({"version": _VERSION, "scores": scores}, ["version", "scores"]),
        "RankRequest": {
            **_object(rank, ["user", "candidates"]),
            "examples": [{"user": user, "candidates": [candidate], "k": DEFAULT_K}],
        },
        "RankAnswer": _object({"version": _VERSION, "ranking": ranking}, ["version", "ranking"]),
    }


def _object(properties: Mapping[str, Any], required: list[str]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
    }
