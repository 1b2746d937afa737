"""Every example of the manual runs as it is written, and prints what the page shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.docs.manual import PAGES, README, blocks
from tests.docs.story import Story, told
from tests.e2e.processes import Tenant, tenant
from tests.forked import forked_command

_RUN = ("sh", "console", "python", "sql")
_TENANTS = {"README.md": "large", "resume.md": "failing"}
"""The fixtures of pages whose output is not that of the small tenant; figures are not compared."""
_WITH_EXAMPLES = [
    page for page in PAGES if any(one.info.split()[:1] in [[w] for w in _RUN] for one in blocks(page))
]


@contextmanager
def _store() -> Iterator[dict[str, str]]:
    """An S3 store on loopback with the bucket that the pages name; what the environment needs for it."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
        url = f"http://{host}:{port}"
        boto3 = pytest.importorskip("boto3")
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        client.create_bucket(Bucket="acme-lake")
        yield {**keys, "AWS_ENDPOINT_URL": url}
    finally:
        server.stop()


@pytest.fixture(scope="module")
def small() -> Iterator[Tenant]:
    with tenant("--accounts", "400", "--seed", "7") as running:
        yield running


@pytest.fixture(scope="module")
def large() -> Iterator[Tenant]:
    """That of the front page: the order of its sources is that of the figures."""
    with tenant("--accounts", "2000", "--seed", "7") as running:
        yield running


@pytest.fixture(scope="module")
def failing() -> Iterator[Tenant]:
    """Three of its accounts always fail."""
    with tenant("--accounts", "400", "--seed", "7", "--hopeless", "3:404") as running:
        yield running


@pytest.mark.parametrize("page", _WITH_EXAMPLES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run_in_order(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As a reader would type them, one after the other; output that is shown is what is printed."""
    at: Tenant = request.getfixturevalue(_TENANTS.get(page.name, "small"))
    with ExitStack() as stack:
        variables = stack.enter_context(_store()) if page.name == "lake.md" else {}
        story = told(tmp_path, forked_command(), at, **variables)
        for block in blocks(page):
            story.run(block)


def test_an_example_that_fails_or_prints_something_else_is_found(tmp_path: Path) -> None:
    """The judge itself: a wrong status, a missing line and one too many are all noticed."""
    story = Story(tmp_path, "http://127.0.0.1:1", {"PATH": os.environ["PATH"]})
    page = tmp_path / "page.md"
    good = "```console\n$ echo 17 rows; echo more\n3 rows\n…\n$ false\n$ echo $?\n1\n```\n"
    page.write_text(good)
    for block in blocks(page):
        story.run(block)
    for bad in (
        "```sh\nfalse\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ echo 17 rows\n3 accounts\n```\n",
        "```console\n$ echo 17 rows; echo more\n3 rows\n```\n",
        "```console\n$ true\nsomething\n```\n",
    ):
        page.write_text(bad)
        with pytest.raises(AssertionError):
            story.run(next(blocks(page)))


def test_the_readme_answers_in_two_commands() -> None:
    """The first block of the first screen is a harvest and its answer."""
    first = next(blocks(README)).text
    commands = [line for line in first.splitlines() if line.startswith("$ harvester")]
    assert [line.split()[2] for line in commands] == ["run", "unused"]
