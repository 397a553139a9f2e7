"""An S3 server on loopback, as far as Arrow's client needs one; it keeps objects in memory."""

from __future__ import annotations

import contextlib
import http.server
import urllib.parse
import xml.sax.saxutils
from collections.abc import Iterator

from ranklite.pipeline.kubeflow import storage
from tests.loopback import serving

_XML = '<?xml version="1.0" encoding="UTF-8"?>'


class ObjectStore:
    """The objects by `bucket/key`.

    Attributes:
      objects: Their contents.
      endpoint: Address of the server.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.endpoint = ""

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to have in its environment to find the server."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            storage.MINIO_ENDPOINT_ENV: self.endpoint,
            storage.S3_ENDPOINT_ENV: self.endpoint,
        }

    def below(self, prefix: str) -> dict[str, bytes]:
        """Objects below a prefix, by the rest of their name."""
        result = dict(self.objects)
        return {k[len(prefix) + 1 :]: v for k, v in result.items() if k.startswith(f"{prefix}/")}


def _handler(store: ObjectStore) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def _where(self) -> tuple[str, dict[str, str]]:
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
            return urllib.parse.unquote(url.path).strip("/"), query

        def _answer(self, code: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(code)
            for key, value in headers.items():
                self.send_header(key.replace("_", "-"), value)
            if "Content_Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _missing(self) -> None:
            self._answer(404, f"{_XML}<Error><Code>NoSuchKey</Code></Error>".encode())

        def _body(self) -> bytes:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def do_HEAD(self) -> None:
            key, _ = self._where()
            if "/" not in key:
                self._answer(200)
            elif key in store.objects:
                self._answer(200, Content_Length=str(len(store.objects[key])))
            else:
                self._answer(404)

        def do_GET(self) -> None:
            key, query = self._where()
            if "list-type" in query:
                self._list(key, query)
            elif key not in store.objects:
                self._missing()
            elif content_range := self.headers.get("Range"):
                first, last = content_range.removeprefix("bytes=").split("-")
                content = store.objects[key]
                part = content[int(first) : int(last) + 1]
                at = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
                self._answer(206, part, Content_Range=at)
            else:
                self._answer(200, store.objects[key])

        def _list(self, bucket: str, query: dict[str, str]) -> None:
            prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
            keys = sorted(k[len(bucket) + 1 :] for k in store.objects if k.startswith(f"{bucket}/"))
            contents, common = [], set()
            for key in keys:
                if not key.startswith(prefix):
                    continue
                rest = key[len(prefix) :]
                if delimiter and delimiter in rest:
                    common.add(prefix + rest.split(delimiter)[0] + delimiter)
                else:
                    contents.append(key)
            entries = [
                f"<Contents><Key>{xml.sax.saxutils.escape(key)}</Key>"
                f"<Size>{len(store.objects[f'{bucket}/{key}'])}</Size>"
                "<LastModified>2026-11-23T00:00:00.000Z</LastModified></Contents>"
                for key in contents
            ]
            entries += [
                f"<CommonPrefixes><Prefix>{xml.sax.saxutils.escape(p)}</Prefix></CommonPrefixes>"
                for p in sorted(common)
            ]
            body = (
                f"{_XML}<ListBucketResult><IsTruncated>false</IsTruncated>"
                f"<KeyCount>{len(entries)}</KeyCount>{''.join(entries)}</ListBucketResult>"
            )
            self._answer(200, body.encode(), Content_Type="application/xml")

        def do_PUT(self) -> None:
            key, query = self._where()
            content = self._body()
            if "partNumber" in query:
                store.parts[query["uploadId"]][int(query["partNumber"])] = content
            elif "/" in key:
                store.objects[key] = content
            self._answer(200, ETag='"tag"')

        def do_POST(self) -> None:
            key, query = self._where()
            content = self._body()
            if "uploads" in query:
                upload = f"upload-{len(store.parts)}"
                store.parts[upload] = {}
                answer = f"<UploadId>{upload}</UploadId>"
                self._xml("InitiateMultipartUploadResult", answer)
            elif "uploadId" in query:
                parts = store.parts.pop(query["uploadId"])
                store.objects[key] = b"".join(parts[number] for number in sorted(parts))
                self._xml("CompleteMultipartUploadResult", f"<Key>{key}</Key>")
            elif "delete" in query:
                bucket = key
                for part in content.decode().split("<Key>")[1:]:
                    name = xml.sax.saxutils.unescape(part.split("</Key>")[0])
                    store.objects.pop(f"{bucket}/{name}", None)
                self._xml("DeleteResult", "")

        def _xml(self, name: str, inner: str) -> None:
            self._answer(200, f"{_XML}<{name}>{inner}</{name}>".encode())

        def do_DELETE(self) -> None:
            store.objects.pop(self._where()[0], None)
            self._answer(204)

    return Handler


@contextlib.contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Serves while the context lasts."""
    store = ObjectStore()
    with serving(_handler(store)) as store.endpoint:
        yield store
