"""Requests to a Kubeflow Pipelines server: time limits, retries, dry runs, errors in words."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable
from typing import Any

import urllib3

TIMEOUT_SECONDS = 30
DELAYS_SECONDS = (1.0, 2.0, 4.0, 8.0)
# A request that changes something is sent again only where it surely was not carried out.
_RETRIED = {True: {408, 429, 500, 502, 503, 504}, False: {429, 503}}
_HINTS = {
    401: "the server does not know you: kfp takes credentials from the token of its context file, "
    "Google's or Kubernetes' defaults, or KF_PIPELINES_* variables",
    403: "you may not do this there; another --namespace?",
    404: "there is no such thing there: is --host the Kubeflow Pipelines API?",
    409: "it is there already",
}


class KubeflowError(OSError):
    """The server refused or could not be reached; the message says what and what to do."""


class _Answer:
    """What a request that was not sent would have answered, as far as the next ones need it."""

    def __init__(self, names: dict[str, str]) -> None:
        self.data = json.dumps(names).encode()
        self.status, self.reason = 200, "OK"

    def getheader(self, name: str, default: str | None = None) -> str | None:
        return default

    def getheaders(self) -> dict[str, str]:
        return {}


class Transport:
    """In the place of kfp's REST client: time limits, retries, dry runs.

    Args:
      rest: kfp's own.
      say: Receives what a dry run would have sent; None sends it.
      sleep: Waits for some seconds.
    """

    def __init__(
        self, rest: Any, say: Callable[[str], None] | None, sleep: Callable[[float], None]
    ) -> None:
        self._rest, self._say, self._sleep = rest, say, sleep

    def request(self, method: str, url: str, **given: Any) -> Any:
        import kfp_server_api

        given["_request_timeout"] = given.get("_request_timeout") or TIMEOUT_SECONDS
        path = urllib.parse.urlsplit(url).path
        safe = method in ("GET", "HEAD", "DELETE")
        if self._say is not None and method != "GET":
            return self._only_say(method, path, given)
        for delay in (*DELAYS_SECONDS, None):
            try:
                return self._rest.request(method, url, **given)
            except kfp_server_api.ApiException as error:
                if delay is None or error.status not in _RETRIED[safe]:
                    raise _described(method, path, error) from error
            except urllib3.exceptions.HTTPError as error:
                if delay is None or not (safe or _never_arrived(error)):
                    doubt = (
                        "" if safe else "; it may have been carried out: look before trying again"
                    )
                    raise KubeflowError(f"{method} {url}: {reason(error)}{doubt}") from error
            self._sleep(delay)
        raise AssertionError("unreachable")

    def _only_say(self, method: str, path: str, given: dict[str, Any]) -> _Answer:
        assert self._say is not None
        query = dict(given.get("query_params") or [])
        parts = [f"{method} {path}{'?' + urllib.parse.urlencode(query) if query else ''}"]
        if given.get("body"):
            parts.append(json.dumps(given["body"], indent=2, sort_keys=True))
        for name, value in given.get("post_params") or []:
            size = f"{len(value[1]):,} bytes of {value[0]}" if isinstance(value, tuple) else value
            parts.append(f"{name}: {size}")
        self._say("\n".join(parts))
        ids = ("pipeline_id", "pipeline_version_id", "experiment_id", "recurring_run_id", "run_id")
        return _Answer({key: f"new-{key.removesuffix('_id')}" for key in ids})

    def __getattr__(self, verb: str) -> Any:
        """GET, POST, ... as the generated client calls them."""
        return lambda url, **given: self.request(verb, url, **given)


def _never_arrived(error: Exception) -> bool:
    reason = getattr(error, "reason", error)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).rsplit(": ", 1)[-1]


def _described(method: str, path: str, error: Any) -> KubeflowError:
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body
    try:
        answer = json.loads(body or "{}")
        message = answer.get("error_message") or answer.get("message") or body
    except ValueError:
        message = body
    hint = f" ({_HINTS[error.status]})" if error.status in _HINTS else ""
    return KubeflowError(f"{method} {path}: {error.status} {message or error.reason}{hint}")
