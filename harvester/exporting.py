"""`harvester export` as a function: from ledgers to one more output. Sends nothing to the tenant."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from harvester.errors import SettingError
from harvester.events import Observer, fan_out
from harvester.export import Exported, Ledgers, OutputSpec, export, open_output
from harvester.files import distinct_paths, try_out
from harvester.ledger import LedgerReader
from harvester.ledger.state import open_state
from harvester.settings.settings import Settings


def export_ledgers(
    ledgers: Sequence[Path],
    settings: Settings,
    *observers: Observer,
    unfinished: bool = False,
    follow: bool = False,
    redshift: bool = False,
) -> Exported:
    """Write the accounts of `ledgers`, several of which are shards of one list, to `settings.output`; blocks.

    `unfinished` accepts a harvest that is not finished, or shards that are missing; `follow` waits for the
    rest of it. `settings.changes` names another ledger, which stays as it is.

    Raises:
        UsageError: the ledgers or the output are not such that this is possible.
        StoppedEarly: the output cannot be written, or nobody is working on the harvest.
        ClosedPipe: the reader of stdout closed it.
    """
    spec = OutputSpec.of(settings, redshift=redshift)
    named = {"--failures": settings.failures} if settings.failures is not None else {}
    own = {"--output": Path(settings.output)} if spec.kind in ("file", "directory") else {}
    others = [] if settings.changes is None else [_other_ledger(settings.changes)]
    distinct_paths({**own, **named}, [*ledgers, *others])
    for name, path in named.items():
        try_out(path, settings.file_mode, what=f"what {name} asks for")
    observe = fan_out(*observers)
    with ExitStack() as stack:
        readers = [stack.enter_context(LedgerReader(path)) for path in ledgers]
        harvest = Ledgers(readers, all_shards=not unfinished)
        earlier = open_state(others[0], harvest.base_url) if others else None
        if earlier is not None:
            stack.enter_context(earlier)
        output = open_output(spec, begun=harvest.begun, observer=observe, max_outage=settings.max_outage)
        output.try_out(repeated=harvest.run_ids)
        exported = export(
            readers,
            output,
            follow=follow,
            unfinished=unfinished,
            earlier=earlier,
            failures=settings.failures,
            observer=observe,
            max_outage=settings.max_outage,
        )
        output.complete()
        if exported.unwritten is not None:
            raise exported.unwritten
        return exported


def _other_ledger(changes: str) -> Path:
    if changes == "last":
        hint = "name the ledger to compare it with: --changes LEDGER"
        raise SettingError("--changes", "the last harvest is the one that is exported", hint)
    return Path(changes)
