"""Google Cloud Storage."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from ranklite.pipeline.kubeflow.object_store import (
    CONNECT_SECONDS,
    READ_SECONDS,
    Entry,
    StorageError,
    each,
)

_LOOKED_FOR = (
    "looked for GOOGLE_APPLICATION_CREDENTIALS (the file of a service account, or of a workload "
    "identity federation), those of `gcloud auth application-default login`, and the metadata "
    "server, which knows the workload identity of the pod's service account"
)
_RETRY_SECONDS = 60.0  # of a request that is answered by 429 or 5xx, or by nothing


class GcsStore:
    """A bucket.

    Args:
      bucket: Its name.

    Raises:
      StorageError: There are no credentials.
    """

    def __init__(self, bucket: str) -> None:
        from google.cloud import storage
        from google.cloud.storage.retry import DEFAULT_RETRY

        self._name = f"gs://{bucket}"
        with self._described("reach"):
            # No call here needs a project, and a pod need not have one set.
            self._client: Any = storage.Client(project=None)
        self._bucket: Any = self._client.bucket(bucket)
        # All calls can be repeated: a write gives the same object, a second removal is no error.
        self._options = {
            "retry": DEFAULT_RETRY.with_timeout(_RETRY_SECONDS),
            "timeout": (CONNECT_SECONDS, READ_SECONDS),
        }

    def entries(self, prefix: str) -> Iterator[Entry]:
        """All objects whose key begins so, by their whole key."""
        with self._described(f"list {prefix!r} in"):
            for blob in self._client.list_blobs(self._bucket, prefix=prefix, **self._options):
                yield Entry(blob.name, blob.size, blob.updated)

    def read_into(self, key: str, file: BinaryIO) -> bool:
        """Writes an object's content into a file; returns whether there is such an object."""
        from google.api_core.exceptions import NotFound

        with self._described(f"read {key!r} in"):
            try:
                self._bucket.blob(key).download_to_file(file, raw_download=True, **self._options)
            except NotFound:
                next(self.entries(key), None)  # where it is the bucket that is missing, this raises
                return False
        return True

    def write(self, key: str, file: BinaryIO) -> None:
        """Writes an object; a reader sees the old content or the new one."""
        size = file.seek(0, os.SEEK_END)  # with it, a small object takes one request and not three
        with self._described(f"write {key!r} in"):
            self._bucket.blob(key).upload_from_file(file, rewind=True, size=size, **self._options)

    def remove(self, keys: Iterable[str]) -> None:
        """Removes objects, however many; those that are gone already are no error."""
        from google.api_core.exceptions import NotFound

        def delete(key: str) -> None:
            with self._described(f"remove {key!r} in"), contextlib.suppress(NotFound):
                self._bucket.blob(key).delete(**self._options)

        each(delete, keys)

    @contextlib.contextmanager
    def _described(self, action: str) -> Iterator[None]:
        """Raises what Google's client raises as StorageError, with what to do about it."""
        from google.api_core import exceptions
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
        from requests import RequestException

        try:
            yield
        except DefaultCredentialsError as error:
            raise StorageError(f"{self._name}: no credentials; {_LOOKED_FOR}") from error
        except GoogleAuthError as error:
            raise StorageError(f"{self._name}: no access token ({error}); {_LOOKED_FOR}") from error
        except exceptions.GoogleAPIError as error:
            raise StorageError(f"cannot {action} {self._name}: {self._reason(error)}") from error
        except (RequestException, ConnectionError) as error:
            raise StorageError(f"cannot {action} {self._name}: {error}") from error

    def _reason(self, error: Any) -> str:
        """What the server answered, and who it thinks is asking."""
        cause = getattr(error, "cause", None)  # of a RetryError, whose own words say only how long
        reason = str(cause or error).splitlines()[0]
        if getattr(error, "code", None) in (401, 403):
            who = getattr(self._client._credentials, "service_account_email", None)
            return f"{reason} (as {who or 'a user'}, who needs roles/storage.objectUser there)"
        return reason
