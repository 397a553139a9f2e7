"""What a request is told that cannot be answered: RFC 9457 problem details, as JSON."""

from __future__ import annotations

import http
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1  # a queue is worked off in less
_SHOWN = 100  # letters of a value


class Problem(Exception):
    """Why a request is not answered.

    Args:
      status: Of HTTP.
      detail: A sentence for who wrote the request.
      errors: What is wrong in it, an entry each.
      headers: Of the response.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.errors, self.headers = errors, headers

    def response(self) -> Response:
        """The response that says so."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = list(self.errors)
        content = json.dumps(document).encode()
        return Response(content, self.status, dict(self.headers or {}), MEDIA_TYPE)


def invalid(pointer: str, value: Any, allowed: str, **more: Any) -> Problem:
    """A value that is not allowed.

    Args:
      pointer: Where it stands in the body, as a JSON pointer.
      value: What stands there; long ones are cut.
      allowed: What may stand there.
      **more: Further members of the error: `row` and `field`.

    Example:
        >>> invalid("/k", -1, "a whole number of 0 or more").detail
        '/k is -1; allowed is a whole number of 0 or more'
    """
    shown = _short(value)
    error = {"pointer": pointer, **more, "value": shown, "allowed": allowed}
    text = json.dumps(shown, ensure_ascii=False)
    return Problem(422, f"{pointer} is {text}; allowed is {allowed}", [error])


def absent(pointer: str, allowed: str, **more: Any) -> Problem:
    """A member that a body has to have and lacks; arguments are those of `invalid`."""
    error = {"pointer": pointer, **more, "allowed": allowed}
    return Problem(422, f"{pointer} is missing; allowed is {allowed}", [error])


def busy(detail: str) -> Problem:
    """The server is not able to answer now, and may be soon."""
    return Problem(503, detail, headers={"Retry-After": str(RETRY_SECONDS)})


def of_http(error: HTTPException) -> Problem:
    """A problem that the router found: an unknown path, or a method that a path does not take."""
    if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        return Problem(405, f"this path takes {allowed}", headers=error.headers)
    return Problem(error.status_code, "there is nothing at this path", headers=error.headers)


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # 1e999 is JSON, infinity is not
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**64 else f"an integer of {value.bit_length()} bits"
    text = value if isinstance(value, str) else json.dumps(value)
    # Half of a pair of surrogates has no UTF-8.
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
