"""What all tests share."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import settings

# No deadline: timing is measured in the bench, never asserted in a test. CI draws the same examples each
# time, so that it never turns red for what a change has not broken; elsewhere there are new ones.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")


@pytest.fixture
def unused_tcp_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
