"""A PostgreSQL table: one transaction that copies rows into temporary tables, then changes what differs.

Next to the table ``usages`` there are ``usages_accounts``, which says how each account ended, since when
and by which run that was found, and ``usages_runs`` with the merges. Names are in snake case, the types of
unknown properties those of their values. Writers of one table wait for each other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

from harvester.errors import OutputError, StoppedEarly
from harvester.export.control import Retry, Unavailable
from harvester.export.extras import lake_module
from harvester.export.formats.columns import Kind, columns
from harvester.export.output import OutputSpec
from harvester.export.records import COLUMNS, Content
from harvester.export.tables.table import MONTH, Harvested, TableOutput, misfit, sentence, stamps

if TYPE_CHECKING:
    import psycopg

    Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_TYPES: Final = {
    Kind.BOOLEAN: "boolean",
    Kind.INTEGER: "bigint",
    Kind.NUMBER: "numeric",
    Kind.JSON: "jsonb",
    Kind.DATE: "date",
    Kind.MOMENT: "timestamp with time zone",
}
_KEY: Final = {"account_id": "text", "month": "text", "date": "date", "count": "bigint"}
_MADE_OF: Final = ("accountId", "date", "count", MONTH)
_LONGEST: Final = 63
"""Bytes of a name; PostgreSQL cuts longer ones."""
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)"
)
_NO_TEXT: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})")

_ACCOUNTS: Final = """
CREATE TABLE {accounts} (
    account_id text PRIMARY KEY, outcome text NOT NULL, reason text, detail text,
    since timestamp with time zone, run_id text
)"""
_RUNS: Final = """
CREATE TABLE {runs} (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run text NOT NULL UNIQUE,
    rows_changed bigint NOT NULL, merged_at timestamp with time zone NOT NULL DEFAULT now()
)"""
_COLUMNS: Final = """
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_PRIMARY_KEY: Final = """
SELECT array_agg(attname::text ORDER BY attname) FROM pg_index
JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
WHERE indrelid = to_regclass(%s) AND indisprimary
"""
_MERGE_ROWS: Final = """
INSERT INTO {table} AS there (account_id, month, date, count{names})
SELECT account_id, left(row."date", 7), left(row."date", 10)::date, row."count"{values}
FROM harvested, jsonb_to_recordset(rows) AS row ("date" text, "count" bigint{typed})
WHERE row."date" IS NOT NULL
ON CONFLICT (account_id, month) DO UPDATE SET date = excluded.date, count = excluded.count{updates}
WHERE (there.date, there.count{before}) IS DISTINCT FROM (excluded.date, excluded.count{now})
"""
_MERGE_ACCOUNTS: Final = """
INSERT INTO {accounts} AS there
SELECT account_id, outcome, reason, detail, to_timestamp(settled_at), run_id
FROM ended LEFT JOIN failed USING (account_id)
ON CONFLICT (account_id) DO UPDATE
SET outcome = excluded.outcome, reason = excluded.reason, detail = excluded.detail, since = excluded.since,
    run_id = excluded.run_id
WHERE (there.outcome, there.reason) IS DISTINCT FROM (excluded.outcome, excluded.reason)
"""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column beyond the usual four: the `source` that its values come from, its name there and its type."""

    source: str
    name: str
    type: str


class Postgres(TableOutput):
    """The table of ``postgresql://host/database/schema.table``. Credentials are those that libpq finds."""

    def __init__(self, url: str, spec: OutputSpec, retry: Retry) -> None:
        super().__init__(url, spec, retry)
        parts = urlsplit(url)
        _, database, table = parts.path.split("/")
        self._url = parts._replace(path=f"/{database}").geturl()
        self._schema, _, self._table = unquote(table).partition(".")
        self._psycopg: Any = lake_module("psycopg", "--format", "postgres", "postgres")
        self._sql: Any = lake_module("psycopg.sql", "--format", "postgres", "postgres")

    def try_out(self, own: str | None = None, *, repeated: Sequence[str] = ()) -> None:  # noqa: ARG002  # any harvest may be merged
        """Make the tables, if there are none, and roll that back."""
        if len(f"{self._table}_accounts".encode()) > _LONGEST:
            raise OutputError(f"{self.name}: the name of the table is too long", "choose a shorter one")
        try:
            with self._connection() as connection:
                self._prepare(connection, Content(self.columns))
                connection.rollback()
        except self._psycopg.Error as error:
            hint = (
                "check the server and your rights; credentials come from PGPASSWORD, ~/.pgpass or PGSERVICE"
            )
            raise OutputError(f"{self.name}: cannot be written to ({sentence(error)})", hint) from None

    def merge_once(self, harvested: Harvested) -> int:
        """Change the rows that differ."""
        with self._faults(), self._connection() as connection:
            found = self._prepare(connection, harvested.content)
            runs = self._rows(connection, "SELECT run FROM {runs} ORDER BY number DESC")
            if (harvested.identity,) in runs:
                return 0
            self._copy_rows(connection, harvested, runs[0][0] if runs else None)
            changed = self._merge_rows(connection, found, stamps(harvested.content))
            self._merge_accounts(connection, harvested)
            insert = "INSERT INTO {runs} (run, rows_changed) VALUES (%s, %s)"
            self._execute(connection, insert, harvested.identity, changed)
            return changed

    def _connection(self) -> Connection:
        """As a context, it commits at its end."""
        connection: Connection = self._psycopg.connect(
            self._url, connect_timeout=15, application_name="harvester"
        )
        return connection

    # --- the tables

    def _prepare(self, connection: Connection, content: Content) -> list[_Column]:
        """Make the tables and columns that are missing; returns the columns beyond the usual four.

        Raises OutputError where the table is not one of harvester's.
        """
        self._execute(connection, "SELECT pg_advisory_xact_lock(hashtext('harvester'), hashtext({literal}))")
        if not self._rows(connection, "SELECT 1 FROM pg_namespace WHERE nspname = %s", self._schema):
            self._execute(connection, "CREATE SCHEMA {schema}")
        there = self._there(connection, self._table)
        if not there:
            key = ", ".join(f"{name} {type_}" for name, type_ in _KEY.items())
            self._execute(connection, f"CREATE TABLE {{table}} ({key}, PRIMARY KEY (account_id, month))")
            there = dict(_KEY)
        self._check(connection, there)
        for suffix, statement in (("accounts", _ACCOUNTS), ("runs", _RUNS)):
            if not self._there(connection, f"{self._table}_{suffix}"):
                self._execute(connection, statement)
        wanted = self._wanted(content, there)
        for column in wanted:
            if column.name not in there:
                add = f"ALTER TABLE {{table}} ADD COLUMN {{column}} {column.type}"
                self._execute(connection, add, column=self._sql.Identifier(column.name))
        return wanted

    def _there(self, connection: Connection, table: str) -> dict[str, str]:
        """The columns of a table with their types; none where there is no such table."""
        name = self._sql.Identifier(self._schema, table).as_string(connection)
        return dict(self._rows(connection, _COLUMNS, name))

    def _check(self, connection: Connection, there: dict[str, str]) -> None:
        hint = "name another table, or one that does not exist yet"
        for name, type_ in _KEY.items():
            if there.get(name) != type_:
                found = f"is {there[name]}, not {type_}" if name in there else "is missing"
                raise OutputError(f"{self.name}: the column {name} {found}", hint)
        table = self._sql.Identifier(self._schema, self._table).as_string(connection)
        if self._rows(connection, _PRIMARY_KEY, table) != [(["account_id", "month"],)]:
            raise OutputError(f"{self.name}: its primary key is not (account_id, month)", hint)

    def _wanted(self, content: Content, there: dict[str, str]) -> list[_Column]:
        """The columns beyond the usual four; those that this harvest has nothing for become null."""
        found: dict[str, _Column] = {}
        for source, kind in columns(content).items():
            name = _snake_case(source)
            if source in _MADE_OF or (content.properties.get(source) == Kind.NULL and name not in there):
                continue
            if name in found or name in _KEY or len(name.encode()) > _LONGEST:
                raise misfit(self.name, f"the property {source!r} would be the column {name!r}")
            found[name] = _Column(source, name, there.get(name, _TYPES.get(kind, "text")))
        sources = {_snake_case(source): source for source in COLUMNS}
        gone = [name for name in there if name not in found and name not in _KEY]
        return [*found.values(), *[_Column(sources.get(name, name), name, there[name]) for name in gone]]

    # --- the rows

    def _copy_rows(self, connection: Connection, harvested: Harvested, last: str | None) -> None:
        stamped = self._list(
            [self._sql.SQL("{} text").format(self._sql.Identifier(name)) for name in COLUMNS]
        )
        make = "CREATE TEMPORARY TABLE harvested (account_id text, rows jsonb{stamps}) ON COMMIT DROP"
        self._execute(connection, make, stamps=stamped)
        with connection.cursor() as cursor, cursor.copy("COPY harvested FROM STDIN") as copy:
            for records in harvested.records(last):
                for record in records:
                    values = [record.stamp.values.get(name) for name in COLUMNS]
                    copy.write_row([_text(record.account_id), _storable(record.blob), *values])

    def _merge_rows(self, connection: Connection, wanted: Sequence[_Column], ignored: Collection[str]) -> int:
        sql, name = self._sql.SQL, self._sql.Identifier
        stamped = [column for column in wanted if column.source in ignored]
        others = [column for column in wanted if column.source not in ignored]
        every = [*stamped, *others]
        values = [sql("{}::{}").format(name("harvested", one.source), sql(one.type)) for one in stamped]
        return self._execute(
            connection,
            _MERGE_ROWS,
            names=self._list([name(one.name) for one in every]),
            values=self._list([*values, *[name("row", one.source) for one in others]]),
            typed=self._list([sql("{} {}").format(name(one.source), sql(one.type)) for one in others]),
            updates=self._list([sql("{0} = excluded.{0}").format(name(one.name)) for one in every]),
            before=self._list([name("there", one.name) for one in others]),
            now=self._list([name("excluded", one.name) for one in others]),
        )

    def _merge_accounts(self, connection: Connection, harvested: Harvested) -> None:
        make = "CREATE TEMPORARY TABLE {} ON COMMIT DROP"
        ended = "ended (account_id text, outcome text, settled_at double precision, run_id text)"
        for table in (ended, "failed (account_id text, reason text, detail text)"):
            self._execute(connection, make.format(table))
        with connection.cursor() as cursor, cursor.copy("COPY ended FROM STDIN") as copy:
            for entries in harvested.ledgers.settled():
                for entry in entries:
                    if entry.outcome is not None:
                        outcome = entry.outcome.name.lower()
                        copy.write_row([_text(entry.id), outcome, entry.settled_at, entry.run_id])
        with connection.cursor() as cursor, cursor.copy("COPY failed FROM STDIN") as copy:
            for failure in harvested.ledgers.failures():
                copy.write_row([_text(failure.account.id), failure.reason, _text(failure.detail)])
        self._execute(connection, _MERGE_ACCOUNTS)

    # --- statements

    def _list(self, parts: Sequence[Any]) -> Any:
        """What follows a first item: each with a comma before it."""
        return self._sql.SQL("").join([self._sql.SQL(", ") + part for part in parts])

    def _statement(self, text: str, **parts: Any) -> Any:
        name = self._sql.Identifier
        named = {
            "schema": name(self._schema),
            "table": name(self._schema, self._table),
            "accounts": name(self._schema, f"{self._table}_accounts"),
            "runs": name(self._schema, f"{self._table}_runs"),
            "literal": self._sql.Literal(f"{self._schema}.{self._table}"),
        }
        return self._sql.SQL(text).format(**named, **parts)

    def _execute(self, connection: Connection, text: str, *values: Any, **parts: Any) -> int:
        """Returns how many rows were changed."""
        return connection.execute(self._statement(text, **parts), values or None).rowcount

    def _rows(self, connection: Connection, text: str, *values: Any) -> list[tuple[Any, ...]]:
        return connection.execute(self._statement(text), values or None).fetchall()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Within it, an error of the server says whether waiting may help."""
        errors = self._psycopg
        try:
            yield
        except (errors.OperationalError, errors.InterfaceError) as error:
            raise Unavailable(sentence(error)) from None
        except (errors.DataError, errors.NotSupportedError) as error:
            raise misfit(self.name, sentence(error)) from None
        except errors.Error as error:
            raise StoppedEarly(f"{self.name}: {sentence(error)}", "see what has changed the table") from None


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _text(text: str) -> str:
    """Text of PostgreSQL holds no NUL."""
    return text.replace("\0", "\\u0000")


def _storable(blob: bytes) -> str:
    """JSON without the characters that PostgreSQL cannot hold: NUL and halves of surrogate pairs."""
    if b"\\u" in blob:
        blob = _ESCAPE.sub(lambda found: rb"\ufffd" if _NO_TEXT.fullmatch(found[0]) else found[0], blob)
    return blob.decode()
