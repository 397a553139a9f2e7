"""The parts of the server's description that do not depend on the model."""

from __future__ import annotations

from typing import Any

from ranklite.models.serving.http.problems import MEDIA_TYPE

_REASONS = {
    400: "The body is no JSON.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or has too many rows.",
    415: "The body is not application/json.",
    422: "A value is not allowed; `errors` says which, where, and what is.",
    500: "The server failed.",
    503: "Too much is asked at once, or the server stops: come again after Retry-After seconds.",
}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}

RESPONSES: dict[str, Any] = {
    str(status): {
        "description": text,
        "content": _PROBLEM,
        **({"headers": _RETRY} if status == 503 else {}),
    }
    for status, text in _REASONS.items()
}

SCHEMAS: dict[str, Any] = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457.",
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Error"}},
        },
        "required": ["type", "title", "status", "detail"],
    },
    "Error": {
        "type": "object",
        "properties": {
            "pointer": {"type": "string", "format": "json-pointer"},
            "row": {"type": "integer", "description": "Of the rows, candidates or events."},
            "field": {"type": "string", "description": "The feature."},
            "value": {"description": "What stands there, cut where it is long."},
            "allowed": {"type": "string"},
        },
        "required": ["pointer", "allowed"],
    },
}


def _plain(name: str, summary: str, kind: str, *statuses: int) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": summary, "content": {kind: {}}}}
    for status in statuses:
        responses[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


PLAIN_PATHS: dict[str, Any] = {
    "/healthz": _plain("healthz", "The process runs", "application/json"),
    "/readyz": _plain("readyz", "It takes requests", "application/json", 503),
    "/metrics": _plain("metrics", "Metrics, as Prometheus reads them", "text/plain"),
    "/openapi.json": _plain("openapi", "This document", "application/json"),
}


def references() -> dict[str, Any]:
    """The errors that a request may meet, by status."""
    return {status: {"$ref": f"#/components/responses/{status}"} for status in RESPONSES}
