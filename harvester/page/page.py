"""The page as one file: texts, charts and style put together by Jinja, which escapes all it is given.

Nothing in it is fetched or executed: there is no script, and the page's own policy forbids both.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import orjson

from harvester.errors import InputError, SettingError, UsageError
from harvester.files import is_stream, write_atomically
from harvester.ledger import LedgerReader
from harvester.page import answer, run
from harvester.page.answer import Figures, figures_of
from harvester.report.summary import SCHEMA_VERSION
from harvester.report.text import safe
from harvester.review import Question, Review
from harvester.review.totals import NOT_USED

_HERE: Final = Path(__file__).parent
_INSTALL: Final = "pip install 'account-usage-harvester[report]'"
_MARKED: Final = {"failed", "not attempted", *NOT_USED}
"""Figures that the eye is drawn to."""
_LIST_SUFFIX: Final = ".unused.csv"
_HINT: Final = "give a ledger, or a summary that `harvester run` wrote (DEST.summary.json)"
RUN_ONLY: Final = (
    "A summary has no accounts in it, so this page shows the run only. To see which accounts nobody uses, "
    "make it from the ledger: harvester report DEST.ledger"
)
"""Why a page made from a summary does not open with the answer."""


def require_drawing(setting: str) -> None:
    """Check that what draws the page is installed, without loading it.

    Raises:
        SettingError: it is not; `setting` is what asked for it.
    """
    if find_spec("jinja2") is None:
        raise SettingError(setting, "an HTML report needs jinja2, which is not installed", _INSTALL)


def list_beside(page: Path) -> Path | None:
    """Where the list of all unused accounts goes that belongs to a page; None where the page is no file."""
    if is_stream(page):
        return None
    return page.with_name(page.stem + _LIST_SUFFIX)


def read_summary(path: Path) -> dict[str, Any]:
    """The summary at `path`.

    Raises:
        InputError: it cannot be read, or is not a summary.
    """
    try:
        summary = orjson.loads(path.read_bytes())
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", _HINT) from error
    except orjson.JSONDecodeError as error:
        raise InputError(str(path), "is not valid JSON", _HINT, line=error.lineno) from None
    if not isinstance(summary, dict) or "counts" not in summary:
        raise InputError(str(path), "is not a summary of a harvest", _HINT)
    if summary.get("schemaVersion") != SCHEMA_VERSION:
        version = summary.get("schemaVersion")
        raise InputError(str(path), f"is a summary of another version of harvester ({version})", _HINT)
    return summary


def write_report(
    path: Path,
    summary: Mapping[str, Any],
    reader: LedgerReader | None,
    *,
    note: str = RUN_ONLY,
    mode: int = 0o600,
    started: bool = False,
    unpublished: bool = False,
) -> Path | None:
    """Write the page of a harvest, and next to it the list of accounts, whose path is returned.

    Without a `reader`, or where its harvest cannot answer, the page shows the run only; `note` says why.
    `started` says that the harvest has begun: what cannot be written then can be repeated. `unpublished`
    accepts a complete harvest whose ledger has not got its final name. A device or descriptor is written to.

    Raises:
        SettingError: the extra `report` is not installed.
        InputError: the summary is damaged.
        OutputError, StoppedEarly: something cannot be written (2; 5 on a full disk, or once `started`).
    """
    require_drawing("report")
    figures = listed = None
    if reader is not None:
        try:
            review = Review(reader, Question(), unpublished=unpublished)
        except UsageError as error:
            note = f"This page shows the run only: {error.problem}."
        else:
            listed = list_beside(path)
            figures = figures_of(review, listed, mode, started=started)
    page = html_page(summary, figures, note=note).encode("utf-8", "backslashreplace")
    write_atomically(path, [page], mode, what="the report", started=started)
    return listed


def html_page(summary: Mapping[str, Any], figures: Figures | None = None, *, note: str = RUN_ONLY) -> str:
    """The page for a run, from its summary (see `harvester.report.summary`).

    It opens with the answer that `figures` give; where there are none, `note` says why.

    Raises:
        InputError: the summary is damaged.
    """
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    try:
        page: str = _template().render(
            title=f"Account usage of {tenant_name(summary['tenant'])}",
            summary=summary,
            run=run.contents(summary),
            answer=None if figures is None else answer.contents(figures),
            marked=_MARKED,
            note=note,
            style=style,
            style_hash=f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}",
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        problem = f"is damaged: something that a summary has is missing ({type(error).__name__}: {error})"
        raise InputError("summary", problem, _HINT) from error
    return page


def tenant_name(host: str) -> str:
    """The tenant's name: what its host begins with."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return "a local tenant" if host in ("", "localhost") else host.partition(".")[0]
    return "a local tenant"


def _template() -> Any:
    jinja2 = import_module("jinja2")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=_without_marks
    )
    return environment.from_string((_HERE / "page.html.jinja").read_text(encoding="utf-8"))


def _without_marks(value: Any) -> Any:
    """Texts of the tenant as they are safe to show; the style is ours."""
    return safe(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
