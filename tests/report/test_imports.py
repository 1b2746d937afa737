"""What few runs need is not loaded by the others."""

from __future__ import annotations

import subprocess
import sys

_CODE = """
import sys
import harvester.report.github, harvester.report.metrics, harvester.report.progress
import harvester.page.page
print(sorted({"rich", "prometheus_client", "jinja2", "aiohttp"} & sys.modules.keys()))
"""


def test_terminal_metrics_and_page_libraries_are_loaded_only_when_used() -> None:
    """Importing all of the package loads none of rich, prometheus_client and jinja2."""
    loaded = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
