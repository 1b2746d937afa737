"""The page as one file: texts, charts and style put together, by Jinja, which escapes all that it is given.

Nothing in it is fetched or executed: there is no script, and the page's own policy forbids both.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson

from harvester.errors import InputFault, OutputFault, SettingFault
from harvester.report.html.data_charts import data_charts
from harvester.report.html.drawing import Draw, draw
from harvester.report.html.facts import page_of
from harvester.report.html.run_charts import run_charts
from harvester.report.whole_file import write_whole

_ROOM: Final = Path(__file__).parent
_NEEDED: Final = ("jinja2", "vl_convert")
_INSTALL: Final = "pip install 'account-usage-harvester[report]'"


def require_drawing(setting: str) -> None:
    """See that what draws the page is installed, without loading it.

    Raises:
        SettingFault: it is not; `setting` is what asked for it.
    """
    for name in _NEEDED:
        if find_spec(name) is None:
            raise SettingFault(setting, f"an HTML report needs {name}, which is not installed", _INSTALL)


def read_summary(path: Path) -> dict[str, Any]:
    """The summary at `path`.

    Raises:
        InputFault: it can't be read, or is none.
    """
    try:
        summary = orjson.loads(path.read_bytes())
    except OSError as error:
        raise InputFault(str(path), f"can't be read ({error.strerror})") from error
    except orjson.JSONDecodeError as error:
        raise InputFault(str(path), "is no JSON", _SUMMARY_MEND, line=error.lineno) from None
    if not isinstance(summary, dict) or summary.get("schemaVersion") != 1 or "counts" not in summary:
        raise InputFault(str(path), "is no summary of a harvest", _SUMMARY_MEND)
    return summary


_SUMMARY_MEND: Final = (
    "give a file that `harvester run` wrote: DEST.summary.json, or _summary.json in a folder"
)


def html_page(summary: Mapping[str, Any], name: str = "summary") -> str:
    """The page for a run, from its summary (`harvester.report.summary`), which errors call `name`.

    Raises:
        SettingFault: the extra `report` is not installed.
        InputFault: the summary is damaged.
    """
    require_drawing("report")
    style = (_ROOM / "page.css").read_text(encoding="utf-8")
    try:
        activity = summary.get("activity")
        to_svg = _vega()
        page: str = _template().render(
            page=page_of(summary),
            data_charts=draw([] if activity is None else data_charts(activity), to_svg),
            run_charts=draw(run_charts(summary), to_svg),
            style=style,
            style_hash=f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}",
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        problem = f"is damaged: it has not what a summary has ({type(error).__name__}: {error})"
        raise InputFault(name, problem, "make the page from a summary as it was written") from error
    return page


def write_page(path: Path, summary: Mapping[str, Any], file_mode: int, name: str = "summary") -> None:
    """Write the page to `path`, whole or not at all.

    Raises:
        OutputFault: it can't be written there.
        SettingFault, InputFault: as `html_page`.
    """
    page = html_page(summary, name)
    try:
        write_whole(path, page.encode(), file_mode)
    except OSError as error:
        raise OutputFault(
            f"{path}: the report can't be written ({error.strerror})", "name another file"
        ) from error


def _vega() -> Draw:
    to_svg: Draw = import_module("vl_convert").vegalite_to_svg
    return to_svg


def _template() -> Any:
    jinja2 = import_module("jinja2")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    return environment.from_string((_ROOM / "page.html.jinja").read_text(encoding="utf-8"))
