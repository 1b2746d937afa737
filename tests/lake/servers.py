"""Object stores on loopback, each in a process of its own, that is ended with the tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


def free_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class StoreServer:
    """A server that can be stopped and started again on its port; `environ` is what clients need."""

    command: list[str]
    port: int
    environ: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run until it takes connections."""
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        pytest.fail("the object store did not start")

    def stop(self) -> None:
        """End it; it forgets what it holds."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def s3_server() -> Iterator[StoreServer]:
    """Moto's S3, with clients' environment."""
    port = free_port()
    environ = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "cloud-secret-never-shown",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    server = StoreServer(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port, environ
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Documented, and the same everywhere."""


def azurite() -> str | None:
    """Azure's emulator, where the set-up of the tests or somebody else has installed it."""
    near = Path(__file__).parents[2] / ".azurite/node_modules/.bin/azurite-blob"
    return str(near) if near.is_file() else shutil.which("azurite-blob")


@contextmanager
def azure_server(folder: Path) -> Iterator[StoreServer]:
    """Azurite, with clients' environment."""
    command = azurite()
    if command is None:
        pytest.skip("Azurite is not installed: make parts")
    port = free_port()
    environ = {
        "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1",
        "AZURE_STORAGE_ACCOUNT_KEY": _EMULATOR_KEY,
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/devstoreaccount1",
    }
    arguments = [
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        str(port),
        "--location",
        str(folder),
        "--silent",
        "--skipApiVersionCheck",
    ]
    server = StoreServer([command, *arguments], port, environ)
    server.start()
    try:
        yield server
    finally:
        server.stop()
