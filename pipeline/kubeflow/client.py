"""Uploads, schedules and lists on a Kubeflow Pipelines server, through kfp's own client."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import hashlib
import io
import json
import pathlib
import time
import urllib.parse
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import urllib3

TIMEOUT_SECONDS = 30
DELAYS_SECONDS = (1.0, 2.0, 4.0, 8.0)
# A request that changes something is sent again only where it surely was not carried out.
_RETRIED = {True: {408, 429, 500, 502, 503, 504}, False: {429, 503}}
_PAGE = 100
_HINTS = {
    401: "the server does not know you: kfp takes credentials from the token of its context file, "
    "Google's or Kubernetes' defaults, or KF_PIPELINES_* variables",
    403: "you may not do this there; another --namespace?",
    404: "there is no such thing there: is --host the Kubeflow Pipelines API?",
    409: "it is there already",
}


class KubeflowError(OSError):
    """The server refused or could not be reached; the message says what and what to do."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A run on the server.

    Attributes:
      name: Its name.
      run_id: Its id.
      state: `SUCCEEDED`, `FAILED`, `RUNNING`, ...
      created: When.
      error: What the server says went wrong.
    """

    name: str
    run_id: str
    state: str
    created: datetime.datetime | None
    error: str


class _Answer:
    """What a request that was not sent would have answered, as far as the next ones need it."""

    def __init__(self, names: dict[str, str]) -> None:
        self.data = json.dumps(names).encode()
        self.status, self.reason = 200, "OK"

    def getheader(self, name: str, default: str | None = None) -> str | None:
        return default

    def getheaders(self) -> dict[str, str]:
        return {}


class _Transport:
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
                    raise KubeflowError(f"{method} {url}: {_reason(error)}{doubt}") from error
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
        ids = ("pipeline_id", "pipeline_version_id", "experiment_id", "recurring_run_id")
        return _Answer({key: f"new-{key.removesuffix('_id')}" for key in ids})

    def __getattr__(self, verb: str) -> Any:
        """GET, POST, ... as the generated client calls them."""
        return lambda url, **given: self.request(verb, url, **given)


def _never_arrived(error: Exception) -> bool:
    reason = getattr(error, "reason", error)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).rsplit(": ", 1)[-1]


def _described(method: str, path: str, error: Any) -> KubeflowError:
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body
    try:
        reported = json.loads(body or "{}")
        message = reported.get("error_message") or reported.get("message") or body
    except ValueError:
        message = body
    hint = f" ({_HINTS[error.status]})" if error.status in _HINTS else ""
    return KubeflowError(f"{method} {path}: {error.status} {message or error.reason}{hint}")


class Kubeflow:
    """A Kubeflow Pipelines server.

    Args:
      host: Address of its API; None takes what kfp finds (KF_PIPELINES_ENDPOINT, the cluster).
      namespace: Of a multi-user installation.
      say: Receives what would be sent and changed; None sends it.
      sleep: Waits between retries.

    Raises:
      KubeflowError: It does not answer.
    """

    def __init__(
        self,
        host: str | None,
        namespace: str | None = None,
        *,
        say: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import kfp

        def put_in_place(client: Any) -> None:
            api = client._healthz_api.api_client
            if not isinstance(api.rest_client, _Transport):
                api.rest_client = _Transport(api.rest_client, say, sleep)

        class Client(kfp.Client):
            """kfp's, whose five tries, with a trace each, end with the transport's first error."""

            def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
                put_in_place(self)
                return super().get_kfp_healthz(sleep_duration)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            try:
                self._client = Client(host=host, namespace=namespace or "kubeflow")
            except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
                raise KubeflowError(f"{host or 'the default host'}: {_reason(error)}") from error
        self._client.get_kfp_healthz()

    def upload(self, path: str, name: str) -> tuple[str, str, bool]:
        """Uploads a compiled pipeline as a new version, unless it is there already.

        Versions are named by their content.

        Args:
          path: The compiled file.
          name: The pipeline's name.

        Returns:
          Ids of the pipeline and of the version, and whether the version is new.
        """
        digest = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:12]
        version = f"{name}-{digest}"
        with _silent():
            pipeline_id = self._client.get_pipeline_id(name)
            if pipeline_id is None:
                pipeline_id = self._client.upload_pipeline(path, pipeline_name=name).pipeline_id
            else:
                page = functools.partial(self._client.list_pipeline_versions, pipeline_id)
                for known in _pages(page, "pipeline_versions"):
                    if known.display_name == version:
                        return pipeline_id, known.pipeline_version_id, False
            made = self._client.upload_pipeline_version(path, version, pipeline_id=pipeline_id)
        return pipeline_id, made.pipeline_version_id, True

    def schedule(
        self, name: str, cron: str, pipeline_id: str, version_id: str
    ) -> tuple[str, list[str]]:
        """Makes a recurring run, and removes those of the same name once it is there.

        Args:
          name: Of the recurring run and its experiment.
          cron: Six fields.
          pipeline_id: The pipeline.
          version_id: Its version.

        Returns:
          Id of the recurring run, and of those that it replaced.
        """
        with _silent():
            experiment = self._client.create_experiment(name).experiment_id
            page = functools.partial(self._client.list_recurring_runs, experiment_id=experiment)
            old = [
                run.recurring_run_id
                for run in _pages(page, "recurring_runs")
                if run.display_name == name
            ]
            made = self._client.create_recurring_run(
                experiment_id=experiment,
                job_name=name,
                cron_expression=cron,
                max_concurrency=1,
                no_catchup=True,
                pipeline_id=pipeline_id,
                version_id=version_id,
            ).recurring_run_id
            for number, replaced in enumerate(old):
                try:
                    self._client.delete_recurring_run(replaced)
                except KubeflowError as error:
                    left = ", ".join(old[number:])
                    raise KubeflowError(
                        f"{made} is scheduled, but what it replaces is still there and runs too "
                        f"({left}): {error}"
                    ) from error
        return made, old

    def runs(self, name: str, limit: int) -> list[Run]:
        """The newest runs of a pipeline, the newest first.

        Raises:
          KubeflowError: It never ran there, or the server does not answer.
        """
        with _silent():
            try:
                experiment = self._client.get_experiment(experiment_name=name)
            except ValueError as error:
                raise KubeflowError(f"no pipeline {name!r} was scheduled there: {error}") from error
            answer = self._client.list_runs(
                experiment_id=experiment.experiment_id, page_size=limit, sort_by="created_at desc"
            )
        return [
            Run(
                run.display_name,
                run.run_id,
                run.state or "UNKNOWN",
                run.created_at,
                run.error.message if run.error else "",
            )
            for run in answer.runs or []
        ]


def _pages(page: Callable[..., Any], key: str) -> Iterator[Any]:
    """All objects of a list that the server gives a page at a time."""
    token = ""
    while True:
        answer = page(page_token=token, page_size=_PAGE)
        yield from getattr(answer, key) or []
        token = answer.next_page_token
        if not token:
            return


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """kfp prints links to a user interface whose address it guesses."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
