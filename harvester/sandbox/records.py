"""What the tenant knows of accounts, identities and sources beside usage: the records of its listings."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from harvester.sandbox.population import Population, Source, numbered_id

_FULL_ONLY = ("identity", "ownerIdentity", "sourceOwner", "features", "uuid", "description")
_FIRST = ("Ada", "Béla", "Chidi", "Dana", "Emre", "Fatou", "Goran", "Hana", "Inês", "Jonas", "Kofi", "Lena")
_LAST = ("Adler", "Brandt", "Conti", "Duarte", "Eriksen", "Gupta", "Haddad", "Ito", "Keita", "López", "Novák")
_ACCOUNTS_A_PERSON = 2
_PEOPLE_A_MANAGER = 7
_MODIFIED_WITHIN_DAYS = 800
_ASCII = str.maketrans("éêóáè", "eeoae")

# Shares of the accounts, in 256ths.
_UNCORRELATED = 25
_MACHINE = 15
_LOCKED = 5
_CORRELATED_BY_HAND = 13


class Records:
    """Makes the records of one population. People and sources have numbers, as accounts have."""

    def __init__(self, population: Population, seed: int) -> None:
        self._population = population
        self._seed = seed
        self.people = max(1, -(-len(population) // _ACCOUNTS_A_PERSON))

    def account(self, number: int) -> dict[str, Any]:
        """Everything the listing says of one account (``detailLevel=FULL``)."""
        dice = self._population.dice(number)
        source = self._population.source_of(number)
        machine = dice[55] < _MACHINE
        uncorrelated = machine or dice[43] < _UNCORRELATED
        person = number // _ACCOUNTS_A_PERSON % self.people
        login = f"svc-{number}" if machine else self._login(person)
        record = {
            "id": self._population.id_of(number),
            "name": login,
            **self._times(number, dice),
            "sourceId": source.id,
            "sourceName": source.name,
            "connectionType": "direct",
            "nativeIdentity": f"CN={login},OU={number},DC=sandbox,DC=example",
            "uuid": dice[48:64].hex(),
            "description": None,
            "attributes": {"sAMAccountName": login, "mail": f"{login}@sandbox.example"},
            "authoritative": source.authoritative,
            "disabled": self._population.is_disabled(number),
            "locked": dice[51] < _LOCKED,
            "systemAccount": False,
            "uncorrelated": uncorrelated,
            "manuallyCorrelated": dice[52] < _CORRELATED_BY_HAND,
            "hasEntitlements": dice[53] % 2 == 0,
            "isMachine": machine,
            "origin": "AGGREGATED" if dice[54] % 4 else "PROVISIONED",
            "features": "ENABLE,SYNC_PROVISIONING",
            "sourceOwner": self._owner(source),
        }
        if not uncorrelated:
            record |= {"identityId": self._identity_id(person), "identity": self._reference(person)}
        if machine:
            record["ownerIdentity"] = self._reference(person)
        return record

    def source(self, source: Source) -> dict[str, Any]:
        """A record of the sources' listing."""
        created = _timestamp(datetime.combine(self._population.today, time(), UTC) - timedelta(days=1500))
        return {
            "id": source.id,
            "name": source.name,
            "description": f"Accounts of {source.name}",
            "owner": self._owner(source),
            "connector": source.connector.lower().replace(" ", "-"),
            "connectorName": source.connector,
            "connectionType": "direct",
            "type": source.connector,
            "authoritative": source.authoritative,
            "healthy": True,
            "created": created,
            "modified": created,
        }

    def identity(self, person: int) -> dict[str, Any]:
        """A record of the public identities."""
        login = self._login(person)
        manager = None if person == 0 else self._reference(person // _PEOPLE_A_MANAGER)
        return {
            "id": self._identity_id(person),
            "name": self._name(person),
            "alias": login,
            "email": f"{login}@sandbox.example",
            "status": "Active",
            "identityState": "ACTIVE",
            "manager": manager,
            "attributes": [],
        }

    def _owner(self, source: Source) -> dict[str, Any]:
        return self._reference(source.index * 3 % self.people)

    def _reference(self, person: int) -> dict[str, Any]:
        return {"type": "IDENTITY", "id": self._identity_id(person), "name": self._name(person)}

    def _identity_id(self, person: int) -> str:
        return numbered_id(self._seed, "identity", person)

    def _name(self, person: int) -> str:
        dice = self._population.dice(person)
        return f"{_FIRST[dice[40] % len(_FIRST)]} {_LAST[dice[41] % len(_LAST)]}"

    def _login(self, person: int) -> str:
        return f"{self._name(person).lower().translate(_ASCII).replace(' ', '.')}{person}"

    def _times(self, number: int, dice: bytes) -> dict[str, str]:
        day = self._population.created_of(number)
        created = datetime.combine(day, time(), UTC) + timedelta(minutes=5 * dice[46])
        latest = datetime.combine(self._population.today, time(), UTC)
        modified = created + timedelta(days=int.from_bytes(dice[47:49]) % _MODIFIED_WITHIN_DAYS)
        return {"created": _timestamp(created), "modified": _timestamp(max(created, min(modified, latest)))}


def slim(record: dict[str, Any]) -> dict[str, Any]:
    """An account's record with ``detailLevel=SLIM``; the description requires `attributes`, if only null."""
    return {name: value for name, value in record.items() if name not in _FULL_ONLY} | {"attributes": None}


def _timestamp(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
