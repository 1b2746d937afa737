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

from harvester.errors import InputError, SettingError
from harvester.files import is_stream, write_atomically
from harvester.report.closing import closing_of
from harvester.report.html import answer as answers
from harvester.report.html import run
from harvester.report.html.answer import Answer
from harvester.report.summary import SCHEMA_VERSION
from harvester.report.text import safe

_HERE: Final = Path(__file__).parent
_INSTALL: Final = "pip install 'account-usage-harvester[report]'"
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


def html_page(
    summary: Mapping[str, Any], answer: Answer | None = None, *, note: str = RUN_ONLY, name: str = "summary"
) -> str:
    """The page for a run, from its summary (see `harvester.report.summary`), which errors call `name`.

    It opens with `answer`; where there is none, `note` says why.

    Raises:
        SettingError: the extra `report` is not installed.
        InputError: the summary is damaged.
    """
    require_drawing("report")
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    try:
        page: str = _template().render(
            title=f"Account usage of {tenant_name(summary['tenant'])}",
            summary=summary,
            run=_run(summary),
            answer=None if answer is None else _answer(answer),
            note=note,
            style=style,
            style_hash=f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}",
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        problem = f"is damaged: something that a summary has is missing ({type(error).__name__}: {error})"
        raise InputError(name, problem, _HINT) from error
    return page


def write_page(
    path: Path,
    summary: Mapping[str, Any],
    answer: Answer | None = None,
    *,
    note: str = RUN_ONLY,
    mode: int = 0o600,
    started: bool = False,
) -> None:
    """Put the page at `path`, in one step; a device or descriptor is written to.

    Raises:
        OutputError, StoppedEarly: it cannot be written (2; 5 on a full disk, or once the harvest `started`).
        SettingError, InputError: as `html_page`.
    """
    page = html_page(summary, answer, note=note)
    write_atomically(
        path, [page.encode("utf-8", "backslashreplace")], mode, what="the report", started=started
    )


def _run(summary: Mapping[str, Any]) -> dict[str, Any]:
    closing = closing_of(summary)
    return {
        "when": run.when(summary),
        "mood": run.mood(summary),
        "headline": closing.headline,
        "advice": closing.advice,
        "tiles": run.tiles(closing),
        "tables": run.tables(summary, closing),
        "charts": run.charts(summary),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "headline": answers.headline(answer),
        "coverage": answers.coverage(answer),
        "tiles": answers.tiles(answer),
        "tables": answers.tables(answer),
        "charts": answers.charts(answer),
    }


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
