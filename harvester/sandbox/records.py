"""What the tenant knows of an account beside its usage: the record of the listing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from harvester.sandbox.population import Population

_FULL_ONLY = ("attributes", "identity", "features", "uuid", "description")

# Name, connector, and whether people's master data come from it.
_SOURCES = (
    ("Active Directory", "Active Directory - Direct", False),
    ("Entra ID", "Azure Active Directory", False),
    ("Workday", "Workday", True),
    ("Salesforce", "Salesforce", False),
    ("SAP S/4HANA", "SAP - Direct", False),
    ("ServiceNow", "ServiceNow", False),
    ("GitHub", "Web Services", False),
    ("Oracle Finance", "Oracle Database - Direct", False),
)
_FIRST = ("ada", "bela", "chidi", "dana", "emre", "fatou", "goran", "hana", "ines", "jonas", "kofi", "lena")
_LAST = ("adler", "brandt", "conti", "duarte", "eriksen", "gupta", "haddad", "ito", "keita", "lopez", "novak")
_FIRST_DAY = datetime(2019, 1, 1, tzinfo=UTC)
_CREATED_WITHIN_DAYS = 2000
_MODIFIED_WITHIN_DAYS = 800
_ACCOUNTS_A_PERSON = 2

# Shares of the accounts, in 256ths.
_UNCORRELATED = 25
_DISABLED = 20
_LOCKED = 5
_CORRELATED_BY_HAND = 13


def account_record(population: Population, seed: int, number: int) -> dict[str, Any]:
    """Everything the listing says of one account (``detailLevel=FULL``)."""
    dice = population.dice(number)
    source, connection, authoritative = _SOURCES[dice[42] % len(_SOURCES)]
    uncorrelated = dice[43] < _UNCORRELATED
    person = _person(population, number // _ACCOUNTS_A_PERSON)
    identity_id = None if uncorrelated else opaque_id(seed, f"identity {number // _ACCOUNTS_A_PERSON}")
    return {
        "id": population.id_of(number),
        "name": person,
        **_times(dice),
        "sourceId": opaque_id(seed, source),
        "sourceName": source,
        "connectionType": connection,
        "identityId": identity_id,
        "identity": None if uncorrelated else {"type": "IDENTITY", "id": identity_id, "name": person},
        "nativeIdentity": f"CN={person},OU={number},DC=sandbox,DC=example",
        "uuid": dice[48:64].hex(),
        "description": None,
        "attributes": {"sAMAccountName": person, "mail": f"{person}@sandbox.example"},
        "authoritative": authoritative,
        "disabled": dice[50] < _DISABLED,
        "locked": dice[51] < _LOCKED,
        "systemAccount": False,
        "uncorrelated": uncorrelated,
        "manuallyCorrelated": dice[52] < _CORRELATED_BY_HAND,
        "hasEntitlements": dice[53] % 2 == 0,
        "isMachine": False,
        "origin": "AGGREGATED" if dice[54] % 4 else "PROVISIONED",
        "features": "ENABLE,SYNC_PROVISIONING",
    }


def slim(record: dict[str, Any]) -> dict[str, Any]:
    """The record with ``detailLevel=SLIM``."""
    return {name: value for name, value in record.items() if name not in _FULL_ONLY}


@lru_cache(maxsize=4096)
def opaque_id(seed: int, name: str) -> str:
    """The ID of a source or identity: 32 hex digits."""
    return blake2b(name.encode(), key=b"%d" % seed, digest_size=16).hexdigest()


def _person(population: Population, number: int) -> str:
    dice = population.dice(number)
    return f"{_FIRST[dice[40] % len(_FIRST)]}.{_LAST[dice[41] % len(_LAST)]}{number}"


def _times(dice: bytes) -> dict[str, str]:
    created = _FIRST_DAY + timedelta(
        days=int.from_bytes(dice[44:46]) % _CREATED_WITHIN_DAYS, minutes=5 * dice[46]
    )
    modified = created + timedelta(days=int.from_bytes(dice[47:49]) % _MODIFIED_WITHIN_DAYS, minutes=dice[49])
    return {"created": _timestamp(created), "modified": _timestamp(modified)}


def _timestamp(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
