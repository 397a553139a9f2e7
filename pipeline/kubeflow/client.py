"""Uploads, schedules and lists on a Kubeflow Pipelines server, through kfp's own client."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import pathlib
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import urllib3

from ranklite.pipeline.kubeflow.runs import Run
from ranklite.pipeline.kubeflow.transport import KubeflowError, Transport, reason

_PAGE = 100


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
            if not isinstance(api.rest_client, Transport):
                api.rest_client = Transport(api.rest_client, say, sleep)

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
                raise KubeflowError(f"{host or 'the default host'}: {reason(error)}") from error
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

    def start(
        self,
        name: str,
        run_name: str,
        pipeline_id: str,
        version_id: str,
        parameters: Mapping[str, str],
    ) -> str:
        """Starts one run.

        Args:
          name: Of its experiment.
          run_name: Of the run.
          pipeline_id: The pipeline.
          version_id: Its version.
          parameters: Values of the pipeline's parameters; others have their defaults.

        Returns:
          Id of the run.
        """
        with _silent():
            experiment = self._client.create_experiment(name).experiment_id
            started = self._client.run_pipeline(
                experiment_id=experiment,
                job_name=run_name,
                params=dict(parameters),
                pipeline_id=pipeline_id,
                version_id=version_id,
            )
        return str(started.run_id)

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
            return [Run.of(run, self._client.get_run) for run in answer.runs or []]


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
