"""Reports that are kept. SQLite in one file by default, another database by URL; reports are immutable, newer ones are added."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from grader.errors import SandboxFault, SettingsError, exhausted
from grader.report import Report, from_json

BUSY_SECONDS = 10
"""How long SQLite waits for another writer."""

metadata = sa.MetaData()
reports = sa.Table(
    "reports",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("learner", sa.String(200), nullable=True),
    sa.Column("exercise", sa.String(100), nullable=False),
    sa.Column("exercise_digest", sa.String(80), nullable=False),
    sa.Column("submission_digest", sa.String(80), nullable=False),
    sa.Column("verdict", sa.String(20), nullable=False),
    sa.Column("points", sa.Float, nullable=True),
    sa.Column("max_points", sa.Float, nullable=False),
    sa.Column("graded_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("report", sa.LargeBinary, nullable=False),
    sa.Index("reports_of_learner", "learner", "exercise", "id"),
)


class Store:
    """A database of reports. Thread-safe. Use `open_store`. Every method raises SandboxFault when the database cannot do it now."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, report: Report) -> int:
        """Keeps a report, durably when this returns; returns its number."""
        row = {
            "learner": report.learner,
            "exercise": report.exercise,
            "exercise_digest": report.exercise_digest,
            "submission_digest": report.submission_digest,
            "verdict": report.verdict,
            "points": report.points,
            "max_points": report.max_points,
            "graded_at": datetime.now(UTC),
            "report": report.to_json(),
        }
        with _faults(f"keep the report of {report.learner or 'somebody'} for {report.exercise}"), self._engine.begin() as connection:
            number = connection.execute(sa.insert(reports).values(**row)).inserted_primary_key
        assert number is not None
        return int(number[0])

    def get(self, number: int) -> Report | None:
        with _faults("read a report"), self._engine.connect() as connection:
            data = connection.scalar(sa.select(reports.c.report).where(reports.c.id == number))
        return from_json(data) if data is not None else None

    def latest(self) -> list[tuple[int, Report]]:
        """The newest report of each learner and exercise, with its number."""
        newest = sa.select(sa.func.max(reports.c.id)).group_by(reports.c.learner, reports.c.exercise)
        query = sa.select(reports.c.id, reports.c.report).where(reports.c.id.in_(newest)).order_by(reports.c.learner, reports.c.exercise)
        with _faults("read the reports"), self._engine.connect() as connection:
            return [(row.id, from_json(row.report)) for row in connection.execute(query)]

    def graded(self, learner: str, exercise: str, exercise_digest: str, submission_digest: str) -> Report | None:
        """The newest report of the same submission by the same suite, unless nothing was graded: what a resumed class run skips."""
        query = (
            sa.select(reports.c.report)
            .where(
                reports.c.learner == learner,
                reports.c.exercise == exercise,
                reports.c.exercise_digest == exercise_digest,
                reports.c.submission_digest == submission_digest,
                reports.c.verdict != "not_graded",
            )
            .order_by(reports.c.id.desc())
            .limit(1)
        )
        with _faults("look for a report"), self._engine.connect() as connection:
            data = connection.scalar(query)
        return from_json(data) if data is not None else None


@contextmanager
def _faults(doing: str) -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:  # its disk is full or fails, somebody holds it locked, its server is away
        raise SandboxFault(f"The database could not {doing}: {error.orig}. Mend that, then run the same command again.") from error


@contextmanager
def open_store(url: str) -> Iterator[Store]:
    """Opens the database at an SQLAlchemy URL and makes its tables.

    Raises SettingsError when it cannot be used, SandboxFault when its disk is full or fails.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise SettingsError("LOOPLAB_DATABASE_URL is not the URL of a database, such as sqlite:////var/lib/looplab/looplab.db.") from None
    try:
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(parsed)
        if parsed.get_backend_name() == "sqlite":
            sa.event.listen(engine, "connect", _sqlite_settings)
        with engine.begin() as connection:  # IF NOT EXISTS: somebody else may be making the same new database right now
            connection.execute(sa.schema.CreateTable(reports, if_not_exists=True))
            for index in reports.indexes:
                connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
    except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
        cause = getattr(error, "orig", error)
        complaint = f"The database {parsed!r} cannot be opened: {cause}."
        if exhausted(cause) or getattr(cause, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise SandboxFault(f"{complaint} Mend that, then run the same command again.") from error
        raise SettingsError(f"LOOPLAB_DATABASE_URL: {complaint}") from error
    try:
        yield Store(engine)
    finally:
        engine.dispose()


def _sqlite_settings(connection: sqlite3.Connection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    _turn_to_wal(cursor)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _turn_to_wal(cursor: sqlite3.Cursor) -> None:
    """Two connections that turn a new database to WAL at once could wait for each other for ever, so SQLite fails one without
    waiting for its busy timeout (sqlite.org/c3ref/busy_handler.html): it tries again once the other is through."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
