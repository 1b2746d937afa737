"""`harvester unused`: which accounts does nobody use?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from harvester.cli.help import Command, GroupedOption
from harvester.cli.ledgers import ledger_named
from harvester.cli.options import PATH, Parsed
from harvester.errors import SettingError
from harvester.ledger import LedgerReader
from harvester.review import (
    FORMS,
    Limit,
    Question,
    Review,
    State,
    Wanted,
    read_exclusions,
    status_of,
    unmatched_warning,
    write_answer,
)
from harvester.review.totals import NOT_USED
from harvester.settings.parse import duration, names
from harvester.settings.setting import words

_LONGEST_GRACE: Final = 3650 * 86400.0
"""Seconds; accounts that are older are not new by anybody's measure."""

_WINDOW, _JUDGED, _SHOWN, _GATE = "The window", "What is judged", "What is shown, and where", "A gate for CI"
"""Groups of options."""

_ASKED: Final = ("months", "since", "as_of", "grace", "assume_reported")
"""Options that are fields of a `Question`; the rest are those of what is `Wanted`."""


def _option(group: str, *names: str, **attributes: Any) -> GroupedOption:
    return GroupedOption(names, group=group, **attributes)


_GRACE = Parsed("duration", lambda text: timedelta(seconds=min(duration(text), _LONGEST_GRACE)))
_STATES = Parsed("states", lambda text: frozenset(map(State, words(*State).parse(text))))
_COLUMNS = Parsed("names", lambda text: tuple(names(text)))
_LIMIT = Parsed("limit", partial(Limit.of, "--fail-above"))
_SHARE = Parsed("share", partial(Limit.of, "--max-unknown", share_only=True))

# A table: an option takes a line or two. `common` is its rank in short help.
# fmt: off
_OPTIONS: Final = [
    _option(_WINDOW, "--months", metavar="N", type=int, common=1,
            help="Months before the last one, 1 to 11.  [default: 3]"),
    _option(_WINDOW, "--since", metavar="YYYY-MM", help="First month of the window, instead of --months."),
    _option(_WINDOW, "--as-of", metavar="YYYY-MM",
            help="Last month of the window.  [default: the harvest's]"),
    _option(_WINDOW, "--grace", metavar="DURATION", type=_GRACE,
            help="Time that an account counts as new.  [default: the window]"),
    _option(_JUDGED, "--include", type=click.Choice(["disabled"]), multiple=True,
            help="Also judge disabled accounts."),
    _option(_JUDGED, "--exclude", metavar="FILE", type=click.Path(path_type=Path), common=5,
            help="CSV of accounts to exclude: accountId[,reason[,until]]."),
    _option(_JUDGED, "--assume-reported", is_flag=True,
            help="Assume that sources of unknown status report usage."),
    _option(_SHOWN, "--states", metavar="NAMES", common=4, type=_STATES,
            default=frozenset(NOT_USED), help="States to show.  [default: unused,never]"),
    _option(_SHOWN, "-o", "--output", metavar="DEST", type=PATH, common=2,
            help="A file instead of stdout (.csv, .ndjson, .txt for IDs)."),
    _option(_SHOWN, "--format", "form", type=click.Choice(FORMS),
            help="[default: by the suffix; a table on a terminal, else csv]"),
    _option(_SHOWN, "--by", metavar="FIELD", common=3,
            help="Totals by this field, such as sourceName or managerName."),
    _option(_SHOWN, "--split-by", metavar="FIELD",
            help="A directory (-o DIR/) with one CSV for each value of this field."),
    _option(_SHOWN, "--columns", metavar="NAMES", type=_COLUMNS, help="Columns, in order.  [default: all]"),
    _option(_SHOWN, "--bom", is_flag=True, help="Begin CSV with a byte order mark, for Excel."),
    _option(_SHOWN, "guard", "--formula-guard/--no-formula-guard", default=True,
            help="Guard text that a spreadsheet would run as a formula.  [default: --formula-guard]"),
    _option(_GATE, "--fail-above", metavar="N|P%", common=6, type=_LIMIT,
            help="Exit with 1 if more than this are in --states."),
    _option(_GATE, "--max-unknown", metavar="P%", type=_SHARE,
            help="Exit with 3 if more than this are unknown."),
]
# fmt: on


@click.command(cls=Command, params=_OPTIONS)
@click.argument("ledger", metavar="LEDGER", type=PATH)
def command(
    ledger: str,
    *,
    include: tuple[str, ...],
    exclude: Path | None,
    fail_above: Limit | None,
    max_unknown: Limit | None,
    **options: Any,
) -> int:
    """Show which accounts nobody uses, from the ledger of a finished harvest.

    LEDGER is a ledger, or the output whose ledger is next to it. Works offline and never changes anything
    in a tenant. Exit status 1 means more than --fail-above, 3 that nothing could be judged.

    Each account is in one state, the first that applies:
      excluded  disabled, or listed in --exclude
      unknown   the harvest gave up on it
      active    used within the window: the month of the harvest, and --months before it
      unused    used earlier, not within the window
      new       never used, and created within the window
      unknown   its source reports no usage, or not for long enough, or is not known
      never     never used, as far as its source reports

    Examples:
      harvester unused usages.ndjson
      harvester unused usages.ndjson --by sourceName
      harvester unused usages.ndjson --months 6 -o unused.csv
      harvester unused usages.ndjson --split-by managerEmail -o reviews/
      harvester unused usages.ndjson --fail-above 5% --max-unknown 40% --format ids
    """
    asked = {name: options.pop(name) for name in _ASKED}
    with _flags_named():
        question = Question(
            **asked,
            include_disabled=bool(include),
            exclusions={} if exclude is None else read_exclusions(exclude),
        )
        path = ledger_named(ledger)
        with LedgerReader(path) as reader:
            review = Review(reader, question)
            inputs = filter(None, (path, Path(ledger), exclude))
            answer = write_answer(review, Wanted(**options), inputs=inputs)
    if (warning := unmatched_warning(review.unmatched)) is not None:
        click.echo(f"harvester: {warning}", err=True)
    click.echo(str(answer.totals), err=True)
    return status_of(answer.totals, answer.selected, fail_above=fail_above, max_unknown=max_unknown)


@contextmanager
def _flags_named() -> Iterator[None]:
    """Within it, an error about a keyword of the library is one about the option."""
    try:
        yield
    except SettingError as error:
        flag = f"--{error.setting.removeprefix('--').replace('_', '-')}"
        raise SettingError(flag, error.problem.removeprefix(f"{error.setting}: "), error.hint) from None
