"""A real S3 server (moto's) on this machine, which can also refuse."""

from __future__ import annotations

import secrets
import threading
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


class S3:
    """An S3 server with one empty bucket of its own name: moto's servers in a process share theirs.

    Attributes:
        bucket: its name.
        asked: the method of each request so far.
        refuses: whether it answers everything with 403.
    """

    def __init__(self) -> None:
        """Start it on a free port."""
        self.bucket = f"equipoise-{secrets.token_hex(4)}"
        self.asked: list[str] = []
        self.refuses = False
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="access",
            aws_secret_access_key="secret",
        )
        self.client.create_bucket(Bucket=self.bucket)

    @property
    def url(self) -> str:
        """What artifacts_url would be."""
        return (
            f"s3://access:secret@{self.bucket}/shared?endpoint_override=127.0.0.1:{self.port}"
            "&scheme=http&region=us-east-1"
        )

    def objects(self) -> set[str]:
        """Return the key of every object."""
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {entry["Key"] for entry in found if not entry["Key"].endswith("/")}

    def clear(self) -> None:
        """Delete every object, and the empty ones that stand for folders."""
        for entry in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", []):
            self.delete(entry["Key"])

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def get(self, key: str) -> bytes:
        """Read an object."""
        found: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return found

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        self.asked.append(environ["REQUEST_METHOD"])
        if self.refuses:
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code></Error>"]
        return self._moto(environ, start)
