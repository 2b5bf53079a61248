"""A ledger on a PostgreSQL server. The connection that writes also holds the lock, so that there is one desk only.

The lock lives exactly as long as that connection. So a desk that can commit holds the lock. A desk without its connection
cannot write another row, even if it does not know yet: it opens the ledger again and reads its whole state again.

Only an upgrade of the tables has a connection of its own. It holds a second lock. Each desk waits for the end of that lock
before it reads what release the tables are of. The upgrade is undone if the connection that writes is gone before its commit.
"""

import asyncio
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import asyncpg
from sqlalchemy import Connection, Engine, ExceptionContext, RootTransaction, TextClause, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from nrmbus import telemetry
from nrmbus.bus import machine
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import schema
from nrmbus.desk.store.address import Address
from nrmbus.desk.store.suspending import committed

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0
"""Seconds after which a server that does not answer a statement of a desk counts as away."""
WHOLE_SECONDS: Final = 3600.0
"""The same for a statement that makes or changes a table, or copies many rows: it may take long, and nobody waits for a page."""
LOOK_EVERY: Final = 1.0
"""Seconds between two looks whether an idle connection still lives: a machine that lost its power closes none."""
_HELD_LOOK: Final = 0.2
_LONGEST_NAME: Final = 63
"""Bytes of the name that a server keeps of a session."""

_SETTINGS: Final = {
    "synchronous_commit": "on",
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "60s",
}
"""Settings of every session. A server that a desk's machine left without a word gives its lock free after 6 seconds.

They follow the connection, since a pooler refuses most of them as parameters of the connection itself, or drops them.
"""

_OWN: Final = secrets.token_hex(3)
"""Mark of this process alone: containers of one machine share its boot, and each counts its processes from 1."""
_LEDGER: Final = 0x6E726D  # "nrm"
_NAME: Final = "(SELECT oid::bigint::integer FROM pg_namespace WHERE nspname = current_schema())"
_STANDING: Final = text(
    "SELECT current_setting('transaction_read_only') = 'on' AS only_reads, current_schema() AS schema"
)
_TRY: Final = text(f"SELECT pg_try_advisory_lock({_LEDGER}, {_NAME})")
_WAIT: Final = text(f"SELECT pg_advisory_lock({_LEDGER}, {_NAME})")
_UPGRADE: Final = text(f"SELECT pg_advisory_xact_lock({_LEDGER + 1}, {_NAME})")
# Less than `ANSWER_SECONDS`, so that the connection lives on.
_NOT_FOR_EVER: Final = text("SET LOCAL lock_timeout = '5s'")
_HELD: Final = (
    "l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"  # noqa: S608 - of constants
    f" AND l.objid = {_NAME}::oid AND l.classid"
)
_HOLDER: Final = text(
    f"SELECT pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE {_HELD} = {_LEDGER}"  # noqa: S608 - of constants
)
_PUT_OUT: Final = text(f"SELECT pg_terminate_backend(pid) FROM pg_locks l WHERE {_HELD} IN ({_LEDGER}, {_LEDGER + 1})")  # noqa: S608 - of constants
_STILL_HELD: Final = (asyncpg.LockNotAvailableError.__name__, asyncpg.QueryCanceledError.__name__)
_AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
_UNFIT: Final = (asyncpg.ClientConfigurationError, UnicodeError)
"""Errors of an address that no server will ever answer at: a member with a slip, a host that cannot be a name."""
_NO_AUTHORITY: Final = "root certificate file "
"""Start of asyncpg's sentence where `sslmode=verify-…` has no `sslrootcert` and ~/.postgresql/root.crt is missing. The address is
right, and the file may come, for example with a folder that is mounted later."""


REWRITTEN: Final = (
    "case_keys", "letter_keys", "case_labels", "assignments", "drafts", "documents", "document_pieces", "book", "tasks",
)  # fmt: skip
"""Tables of keys, of what is sealed to the desk's key in use, of who has which case, and of tasks, some of which an earlier release
gave words of a letter: a deleted row in a file could be read."""
CLEANED: Final = ("events", "outbox")
"""Tables of letters, too large to be rewritten at each erasure: a sealed letter may stay in a file, and opens until the erasure's
horizon, as in a backup."""
_ASKING: Final = tuple(f"VACUUM (VERBOSE) {each}" for each in REWRITTEN)
_REWRITING: Final = tuple(f"VACUUM (FULL, VERBOSE) {each}" for each in REWRITTEN)
_CLEANING: Final = tuple(f"VACUUM {each}" for each in CLEANED)
_STAYS: Final = re.compile(r".*\n.*\n\D*\d+\D+\d+\D+[1-9]")
"""Start of what ``VERBOSE`` tells of a table with a deleted row that an open snapshot still sees: the third number of the third line.
A server before PostgreSQL 15 tells otherwise, and its tables are rewritten to find out."""
_NONE_LEFT: Final = re.compile(r"\D*0\D")
"""Start of what ``VERBOSE`` tells of a table whose file holds no deleted row: its first number, in every language of a server, is
that of the deleted rows that were copied, since an open snapshot still sees them."""


async def _connect(address: Address, name: str, *, answer: float | None = None, **settings: str) -> Any:
    """Connect to the server at *address*. Raises DeskError ``ledger_unfit``, and OperationalError if the server or the certificate of its authority is away."""
    try:
        connection = await asyncpg.connect(
            address.url,
            timeout=CONNECT_SECONDS,
            command_timeout=answer,
            server_settings={"application_name": name[:_LONGEST_NAME]},
        )
        try:
            await connection.execute(
                "".join(f"SET {each} = '{value}';" for each, value in (_SETTINGS | settings).items())
            )
        except BaseException:
            connection.terminate()
            raise
        return connection
    except UnicodeDecodeError as error:  # a server that words its refusal in another encoding
        raise OperationalError(None, None, error) from None
    except _UNFIT as error:
        if str(error).startswith(_NO_AUTHORITY):
            raise OperationalError(None, None, error) from None
        raise DeskError("ledger_unfit") from None
    except _AWAY as error:
        raise OperationalError(None, None, error) from None


def _engine(address: Address, name: str, answer: float, **more: Any) -> Engine:
    async def connect() -> Any:
        return await _connect(address, name, answer=answer)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, hide_parameters=True, **more)

    @event.listens_for(engine.sync_engine, "handle_error", retval=True)
    def _as_away(context: ExceptionContext) -> BaseException | None:
        error = context.original_exception
        return OperationalError(None, None, error) if isinstance(error, OSError | TimeoutError) else None

    return engine.sync_engine


def making(address: Address) -> Engine:
    """Return an engine that makes tables at *address*, all or nothing."""
    return _engine(address, "nrmbus", WHOLE_SECONDS, poolclass=NullPool)


class Postgres:
    """The database at *address*: one connection that writes and holds the lock, and a pool of those that read."""

    def __init__(self, address: Address, *, copies: bool = False) -> None:
        """Make the engine of a desk, or with *copies* of a program that copies whole tables, whose statements may take longer."""
        self._address, self._answer = address, WHOLE_SECONDS if copies else ANSWER_SECONDS
        self.lost = asyncio.Event()
        """Set when the connection that writes is gone, and the lock with it."""
        self._writing: Engine | None = None
        self._reading: Engine | None = None
        self._writer: Connection | None = None
        self._watch: asyncio.Task[None] | None = None
        self._free = asyncio.Lock()
        """Held while the writer's connection is in use."""

    async def open(self, agency: str, patience: float, *, puts_out: bool) -> None:
        """Connect, take the lock after at most *patience* seconds, and make or upgrade the tables.

        *puts_out* ends the connection of the desk that has the lock, and its upgrade of the tables.

        Raises:
            DeskError: ``ledger_away`` if the server does not answer, refuses, or lets this desk write nothing, ``ledger_held``
                if another desk has the lock, ``ledger_unfit`` if no server can be asked at the address.
        """
        name = (
            f"nrmbus {agency} {machine.mark()} {os.getpid()} {_OWN}"  # an earlier release reads all words but the last
        )
        self._writing = _engine(self._address, name, self._answer, poolclass=NullPool)
        snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading = _engine(self._address, name, self._answer, execution_options=snapshot)
        event.listen(self._reading, "checkout", _require_open)
        try:
            self._writer = self._writing.connect()
            _require_writable(self._writer)
            await self._lock(self._writer, patience, puts_out=puts_out)
            driver: Any = self._writer.connection.driver_connection
            driver.add_termination_listener(lambda _: self.lost.set())
            await self._bring_up(self._writer)
        except SQLAlchemyError as error:
            raise DeskError("ledger_away", safe={"error": _kind(error)}) from None

    async def _bring_up(self, writer: Connection) -> None:
        """Make or upgrade the tables, if they are not of this release, by a connection whose statements may take long.

        An upgrade that another desk has begun ends first, by its commit or with its connection.
        """
        while not self._waited_for(writer, _UPGRADE):  # noqa: ASYNC110 - a task is cancelled only where it awaits
            await asyncio.sleep(0)
        with writer.begin():
            is_current = schema.revision_of(writer) == schema.REVISION
        # From here on, since a proxy may close a connection that is idle during a long upgrade.
        self._watch = asyncio.create_task(self._look())
        if is_current:
            return
        engine = making(self._address)
        try:
            with engine.connect() as connection, connection.begin():
                connection.execute(_UPGRADE)
                schema.bring_up_within(connection)
                async with self._free:
                    _require_writable(writer)
        finally:
            engine.dispose()

    async def _lock(self, writer: Connection, patience: float, *, puts_out: bool) -> None:
        until = asyncio.get_running_loop().time() + patience
        while True:
            with writer.begin():
                if writer.scalar(_TRY):
                    return
                holder = writer.execute(_HOLDER).first()
                if holder and puts_out:
                    writer.execute(_PUT_OUT)
            if holder and puts_out and self._waited_for(writer, _WAIT):
                return
            # A lock without a holder was given back between the two statements, or nobody may see who has it.
            if asyncio.get_running_loop().time() >= (until if holder else until + CONNECT_SECONDS):
                raise DeskError("ledger_held", detail=_held_by(holder.application_name) if holder else None)
            await asyncio.sleep(_HELD_LOOK)

    @staticmethod
    def _waited_for(writer: Connection, lock: TextClause) -> bool:
        """Wait some seconds in the server's queue for the *lock* of a desk that was put out; return whether *writer* got it.

        The desk that was put out asks for its lock again within a second, and whoever only asks now and then may be later.
        """
        try:
            with writer.begin():
                writer.execute(_NOT_FOR_EVER)
                writer.execute(lock)
        except DBAPIError as error:
            if _kind(error) not in _STILL_HELD:
                raise
            return False
        return True

    async def close(self) -> None:
        """Close every connection, and with it give the lock back."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        if self._writer is not None:
            with suppress(SQLAlchemyError, OSError):
                self._writer.close()
        for engine in (self._writing, self._reading):
            if engine is not None:
                with suppress(SQLAlchemyError, OSError):
                    engine.dispose()

    async def begin(self) -> RootTransaction:
        """Begin a writing transaction. Raises DeskError ``not_available`` if the connection is lost."""
        await self._free.acquire()
        try:
            if self._writer is None or self.lost.is_set():
                raise DeskError("not_available")
            return self._writer.begin()
        except BaseException:
            self._free.release()
            raise

    async def commit(self, transaction: RootTransaction) -> bool:
        """Commit; return whether this task was cancelled meanwhile.

        If the connection breaks during the commit, its outcome is unknown: the ledger counts as lost and is read again.
        """
        return await committed(asyncio.create_task(self._commit(transaction)))

    async def _commit(self, transaction: RootTransaction) -> None:
        try:
            transaction.commit()
        except BaseException:
            await self.rollback(transaction)
            raise
        self._free.release()

    async def rollback(self, transaction: RootTransaction) -> None:
        """Undo everything; without a connection the server does it."""
        try:
            transaction.rollback()
        except SQLAlchemyError:
            self.lost.set()
        finally:
            if transaction.connection.invalidated:
                self.lost.set()
            self._free.release()

    def is_cause_of(self, error: BaseException) -> bool:
        """Return whether *error* comes from the server, so that opening the ledger again may help."""
        return self.lost.is_set() or isinstance(error, SQLAlchemyError)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open one snapshot. Raises SQLAlchemyError if the server is away."""
        if self._reading is None:
            raise RuntimeError("a ledger is opened before it is read")
        with self._reading.connect() as connection, connection.begin():
            yield connection

    async def off_the_disk(self) -> bool:
        """Rewrite the tables `REWRITTEN`, so that their files hold no deleted row, and clean those of letters.

        Return False if it could not be done: another program, for example a backup or a standby, reads the database, or the
        server's disk is full, or its limit for a statement was too short. The server's write-ahead log and its backups keep
        deleted rows for a while: an erasure's horizon covers them.
        """
        connection = await _connect(self._address, "nrmbus", lock_timeout="1s")
        told: list[Any] = []
        connection.add_log_listener(lambda _, message: told.append(message))
        try:
            for statement in _ASKING:
                await connection.execute(statement)
            # A rewriting copies every row into the write-ahead log, and would have to be repeated.
            if any(_STAYS.match(each.message) for each in told):
                return False
            told.clear()
            for statement in (*_REWRITING, *_CLEANING):
                await connection.execute(statement)
        except _AWAY as error:
            if not isinstance(error, asyncpg.LockNotAvailableError):
                telemetry.handled("not_available", error=type(error).__name__)
            return False
        finally:
            await connection.close()
        # A rewriting succeeds too where it has to copy a deleted row.
        return sum(_NONE_LEFT.match(each.detail or "") is not None for each in told) == len(_REWRITING)

    async def _look(self) -> None:
        """Look now and then whether the idle connection still lives, until it does not."""
        if self._writer is None:
            return
        driver: Any = self._writer.connection.driver_connection
        while not self.lost.is_set():
            await asyncio.sleep(LOOK_EVERY)
            async with self._free:
                try:
                    await driver.fetchval("SELECT 1", timeout=CONNECT_SECONDS)
                except _AWAY:
                    driver.terminate()
                    self.lost.set()


def _require_open(connection: Any, *_: object) -> None:
    """Have the pool connect again if the server or something on the way has closed an idle connection.

    asyncpg knows that, so no statement has to ask, as ``pool_pre_ping`` does with each reading.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _require_writable(writer: Connection) -> None:
    """Raise DeskError ``ledger_away`` if *writer* reaches a standby or a server that only reads, or if its user may use no schema.

    Such a server gives the lock all the same, and without a schema no lock has a name.
    """
    with writer.begin():
        found = writer.execute(_STANDING).one()
    if found.only_reads:
        raise DeskError("ledger_away", safe={"error": asyncpg.ReadOnlySQLTransactionError.__name__})
    if found.schema is None:
        raise DeskError("ledger_away", safe={"error": asyncpg.InvalidSchemaNameError.__name__})


def _held_by(holder: str) -> str:
    """Return who holds the lock, by the name that its desk gave the server."""
    _, _, where = holder.partition(" ")
    _, host, process, own = (*where.split(" "), "", "", "", "")[:4]
    if (host, process, own) == (machine.mark(), str(os.getpid()), _OWN):  # of a copy, the ledger that is copied
        return "This process has the ledger open already: two addresses lead to one database."
    # An earlier release gave a host's name, and the server cuts a name: the rest of a number is somebody else's process.
    which = f", process {process}," if len(holder) < _LONGEST_NAME else ""
    return f"The desk on {machine.where(host)}{which} has the ledger open. End that one; --standby waits for its end, and --take-over puts it out."


def _kind(error: BaseException) -> str:
    """Return the name of the server's error, never its text."""
    cause = getattr(error, "orig", None) or error
    return type(getattr(cause, "__cause__", None) or cause).__name__
