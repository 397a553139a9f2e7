"""Amazon S3, and what speaks its protocol: MinIO, SeaweedFS, Ceph."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from ranklite.pipeline.kubeflow.object_store import (
    CONNECT_SECONDS,
    READ_SECONDS,
    TRIES,
    Entry,
    StorageError,
    each,
)

_LOOKED_FOR = (
    "looked for AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a role of the pod's service account "
    "(AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE, or AWS_CONTAINER_CREDENTIALS_FULL_URI), "
    "AWS_PROFILE and ~/.aws, and the metadata server of EC2. On Kubeflow, kubeflow.secrets sets "
    "variables from a secret"
)
_MISSING = {"404", "NoSuchKey"}


class S3Store:
    """A bucket.

    Args:
      bucket: Its name.
      endpoint: Address of the server; None takes AWS_ENDPOINT_URL, else Amazon's.
      name: How messages call the bucket.

    Raises:
      StorageError: The client refuses what the environment says.
    """

    def __init__(self, bucket: str, endpoint: str | None, name: str) -> None:
        import boto3
        from botocore.config import Config

        self._bucket, self._name = bucket, name
        with self._described("reach"):
            self._session = boto3.Session()
            self._client: Any = self._session.client(
                "s3",
                endpoint_url=endpoint,
                config=Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    retries={"mode": "standard", "total_max_attempts": TRIES},
                    # Checksums in trailers came to S3 in 2024: older servers refuse them.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )

    def entries(self, prefix: str) -> Iterator[Entry]:
        """All objects whose key begins so, by their whole key."""
        with self._described(f"list {prefix!r} in"):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                for item in page.get("Contents", []):
                    yield Entry(item["Key"], item["Size"], item["LastModified"])

    def read_into(self, key: str, file: BinaryIO) -> bool:
        """Writes an object's content into a file; returns whether there is such an object."""
        from botocore.exceptions import ClientError

        with self._described(f"read {key!r} in"):
            try:
                self._client.download_fileobj(self._bucket, key, file)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _MISSING:
                    raise
                next(self.entries(key), None)  # where it is the bucket that is missing, this raises
                return False
        return True

    def write(self, key: str, file: BinaryIO) -> None:
        """Writes an object; a reader sees the old content or the new one."""
        with self._described(f"write {key!r} in"):
            self._client.upload_fileobj(file, self._bucket, key)

    def remove(self, keys: Iterable[str]) -> None:
        """Removes objects one by one: no limit of their number, no checksum of a list of them."""

        def delete(key: str) -> None:
            with self._described(f"remove {key!r} in"):
                self._client.delete_object(Bucket=self._bucket, Key=key)

        each(delete, keys)

    @contextlib.contextmanager
    def _described(self, action: str) -> Iterator[None]:
        """Raises what boto3 raises as StorageError, with what to do about it."""
        from boto3.exceptions import Boto3Error
        from botocore import exceptions

        try:
            yield
        except (
            exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError,
            exceptions.CredentialRetrievalError,
        ) as error:
            raise StorageError(f"{self._name}: {_sentence(error)}; {_LOOKED_FOR}") from error
        except exceptions.ClientError as error:
            raise StorageError(f"cannot {action} {self._name}: {self._reason(error)}") from error
        except (exceptions.BotoCoreError, exceptions.HTTPClientError, Boto3Error) as error:
            cause = error.__cause__ or error.__context__
            if isinstance(cause, exceptions.ClientError):  # boto3 wraps it when it uploads
                raise StorageError(
                    f"cannot {action} {self._name}: {self._reason(cause)}"
                ) from error
            raise StorageError(
                f"cannot {action} {self._name}: {_sentence(error)} (AWS_ENDPOINT_URL, or "
                "MINIO_ENDPOINT for minio://, says where the server is)"
            ) from error

    def _reason(self, error: Any) -> str:
        """What the server answered, and who it thinks is asking."""
        answer = error.response["Error"]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        reason = f"{status} {answer.get('Code', '')}: {answer.get('Message', '')}"
        if answer.get("Code") == "NoSuchBucket":
            return f"{reason} (there is no bucket {self._bucket!r})"
        if status in (401, 403):
            credentials = self._session.get_credentials()
            origin = credentials.method if credentials else "none"
            return f"{reason} (credentials: {origin}; they need to list, get, put and delete there)"
        return reason


def _sentence(error: Exception) -> str:
    return str(error).rstrip(".")
