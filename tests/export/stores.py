"""Object stores for tests: one in memory that fails by plan, and a real server on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import boto3
import obstore
import pytest
from obstore.store import MemoryStore

from harvester.events import Event
from harvester.export import Control, Exported
from harvester.export.control import Retry
from harvester.export.destinations.directory import Directory
from harvester.export.destinations.store import Store
from harvester.export.formats import format_named
from harvester.export.output import Output
from tests.export.outputs import Content, Plan, runs_of, spec_of, written


class MemoryCloud:
    """A store that lives as long as this object; each request that changes it is a step of `plan`."""

    exceptions = obstore.exceptions

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.plan = Plan()
        self.events: list[Event] = []
        self.clock = 0.0

    def export(self, ledgers: Path | Sequence[Path], *, tried: bool = True, **options: Any) -> Exported:
        """An export as a command does it."""
        output = self.output(**options)
        if tried:
            output.try_out(repeated=runs_of(ledgers))
        return written(ledgers, output)

    def output(self, *, max_outage: float = 60.0, **options: Any) -> Output:
        spec = spec_of("s3://bucket/prefix/", form=options.pop("format", None), **options)
        retry = Retry(
            spec.where.dest,
            max_outage=max_outage,
            control=_Ticking(self),
            observer=self.events.append,
            rng=Random(1),
            clock=lambda: self.clock,
        )
        store = Store(spec.where.dest, self.store, retry, obstore=self)
        return Directory(store, spec, format_named(spec.where.format, spec.shape), Control())

    def objects(self) -> Content:
        """All that is in it."""
        names = [one["path"] for page in obstore.list(self.store) for one in page]
        return {name: bytes(obstore.get(self.store, name).bytes()) for name in sorted(names)}

    # --- what the destination calls

    def put(self, store: Any, name: str, data: bytes | Iterator[bytes], **_: Any) -> None:
        self._step()
        whole = data if isinstance(data, bytes) else b"".join(data)
        obstore.put(store, name, whole)

    def delete(self, store: Any, names: str | list[str]) -> None:
        for name in [names] if isinstance(names, str) else names:
            self._step()
            if name in self.objects():
                obstore.delete(store, name)

    def get(self, store: Any, name: str) -> Any:
        return obstore.get(store, name)

    def head(self, store: Any, name: str) -> Any:
        return obstore.head(store, name)

    def list_with_delimiter(self, store: Any) -> Any:
        return obstore.list_with_delimiter(store)

    def _step(self) -> None:
        try:
            self.plan.at_step()
        except OSError as error:
            raise obstore.exceptions.GenericError(f"Generic error: {error}") from error


class _Ticking(Control):
    """Waits by moving the clock."""

    def __init__(self, cloud: MemoryCloud) -> None:
        super().__init__()
        self._cloud = cloud

    def wait(self, seconds: float) -> None:
        self._cloud.clock += seconds


# --- a real server


@dataclass
class S3Server:
    """Moto's S3, which can be stopped and started again on its port; it forgets what it holds."""

    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> dict[str, str]:
        """What its clients need."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "cloud-secret-never-shown",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self, *buckets: str) -> None:
        """Run until it takes connections."""
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > end:
                pytest.fail("the object store did not start")
            time.sleep(0.05)
        for bucket in buckets:
            self.client().create_bucket(Bucket=bucket)

    def client(self) -> Any:
        """Another client than ours."""
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id="key",
            aws_secret_access_key="other",
            region_name="us-east-1",
        )

    def objects(self, bucket: str) -> Content:
        """All that is in a bucket."""
        client = self.client()
        found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in found}

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@contextmanager
def s3_server(*buckets: str) -> Iterator[S3Server]:
    """A server with these buckets; this process has the environment of its clients."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = S3Server(probe.getsockname()[1])
    server.start(*buckets)
    try:
        with patch.dict(os.environ, server.environ):
            yield server
    finally:
        server.stop()


class Outage(Plan):
    """All requests from `step` on fail, `times` of them."""

    def __init__(self, step: int, times: int) -> None:
        super().__init__()
        self._begin = step
        self._left = times

    def at_step(self) -> None:
        self.taken += 1
        if self.taken > self._begin and self._left:
            self._left -= 1
            raise OSError("connection refused")
