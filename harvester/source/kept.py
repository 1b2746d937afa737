"""The properties of an account that are kept from the list, so that `unused` can name whose it is.

They are found where the accounts API has them (`sourceId`, `identity.name`, `ownerIdentity.name`) and
under the names of the columns that `unused` writes (`identityName`, `ownerName`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

_PLACES: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "nativeIdentity": ("nativeIdentity",),
    "sourceName": ("sourceName", "source.name"),
    "sourceId": ("sourceId", "source.id"),
    "identityName": ("identityName", "identity.name"),
    "identityId": ("identityId", "identity.id"),
    "managerName": ("managerName", "manager.name"),
    "managerEmail": ("managerEmail", "manager.email"),
    "ownerName": ("ownerName", "owner.name", "ownerIdentity.name"),
    "created": ("created",),
    "disabled": ("disabled",),
    "isMachine": ("isMachine",),
    "hasEntitlements": ("hasEntitlements",),
    "usageStatus": ("usageStatus",),
    "usageSince": ("usageSince",),
}
KEPT = tuple(_PLACES)
"""Names of the properties that are always kept, in the order in which they are stored."""

_FLAGS = frozenset({"disabled", "isMachine", "hasEntitlements"})
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def kept_names(keep: Sequence[str] = ()) -> tuple[str, ...]:
    """The names of all properties to keep: `KEPT` and those that `--keep` adds (``a.b`` is nested)."""
    return tuple(dict.fromkeys((*KEPT, *keep)))


def places_of(name: str) -> tuple[str, ...]:
    """The names under which a record or a header may have a property, the preferred one first."""
    return _PLACES.get(name) or (name,)


def kept_of_record(record: Mapping[str, Any], names: Sequence[str]) -> bytes | None:
    """The kept properties of a JSON record as a JSON object; None if it has none of them.

    Null and empty values count as absent.
    """
    found = {name: _first_there(record, places_of(name)) for name in names}
    return _encoded({name: value for name, value in found.items() if value is not None})


def kept_of_cells(cells: Mapping[str, str]) -> bytes | None:
    """The kept properties in the cells of a CSV row, by name; None if all are empty.

    `disabled`, `isMachine` and `hasEntitlements` become booleans where they are spelled as such.
    """
    found: dict[str, Any] = {}
    for name, text in cells.items():
        if trimmed := text.strip():
            found[name] = _TRUTH.get(trimmed.lower(), trimmed) if name in _FLAGS else trimmed
    return _encoded(found)


def _encoded(found: dict[str, Any]) -> bytes | None:
    if not found:
        return None
    try:
        return orjson.dumps(found)
    except TypeError:  # half a character or a huge integer somewhere, which JSON allows
        return json.dumps(found, separators=(",", ":")).encode()


def _first_there(record: Mapping[str, Any], places: tuple[str, ...]) -> Any:
    for place in places:
        value = record.get(place)
        if value is None and "." in place:
            value = nested(record, place)
        if value is not None and value != "":
            return value
    return None


def nested(record: Any, place: str) -> Any:
    """The property ``a.b`` of a record, None if there is none."""
    for step in place.split("."):
        record = record.get(step) if isinstance(record, Mapping) else None
    return record
