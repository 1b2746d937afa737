"""The one table of settings.

Flags, environment variables and configuration keys are all read by it, and the help text and
the checks of ``config/harvester.toml`` come from it. A setting called ``page_size`` is the flag
``--page-size``, the variable ``HARVESTER_PAGE_SIZE`` and the key ``page_size``. Defaults are those of
`model.Settings`.
"""

from __future__ import annotations

from harvester.settings.field import Field
from harvester.settings.table.asking import GIVING_UP, PACE, REQUEST, TENANT
from harvester.settings.table.lists import LIST, METRICS, OUTPUT, SEEING

SECTIONS = {
    "tenant": "Tenant",
    "request": "What is asked for",
    "list": "List of accounts",
    "output": "Output",
    "pace": "Pace",
    "giving up": "Waiting and giving up",
    "seeing": "Seeing it work",
    "metrics": "Metrics",
}
"""The groups of settings in the order that help shows them, with their titles."""

FIELDS: tuple[Field, ...] = (*TENANT, *REQUEST, *LIST, *OUTPUT, *PACE, *GIVING_UP, *SEEING, *METRICS)
BY_NAME: dict[str, Field] = {field.name: field for field in FIELDS}
