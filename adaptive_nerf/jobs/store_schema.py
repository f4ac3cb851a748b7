"""The database of the store: its tables, the triggers that hold the promises about states, and how it is opened.

One process, one connection. Exclusive locking keeps the index of the write-ahead log in our own memory, so there is no
mapped file that a full disk could take from under us.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from adaptive_nerf.common.atomic_files import fsync_folder
from adaptive_nerf.common.errors import BadData
from adaptive_nerf.jobs.states import MOVES

VERSION = 1
LARGEST_LOG_BYTES = 16 * 2**20  # the write-ahead log is cut back to this after a burst

PRAGMAS = f"""
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA temp_store = MEMORY;
PRAGMA foreign_keys = ON;
PRAGMA journal_size_limit = {LARGEST_LOG_BYTES};
"""

TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE sources (
    id INTEGER PRIMARY KEY, cluster TEXT NOT NULL, incarnation TEXT NOT NULL, partition INTEGER NOT NULL,
    UNIQUE (cluster, incarnation, partition));

-- every message that was ever taken in: a redelivery is known by its place, whatever became of it
CREATE TABLE inbox (
    source INTEGER NOT NULL REFERENCES sources, position INTEGER NOT NULL,
    PRIMARY KEY (source, position)) WITHOUT ROWID;

CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL UNIQUE, op TEXT NOT NULL, canonical TEXT NOT NULL,
    priority INTEGER NOT NULL, gpus INTEGER NOT NULL, timeout_s REAL NOT NULL, hang_timeout_s REAL NOT NULL,
    max_attempts INTEGER, light INTEGER NOT NULL, stay INTEGER NOT NULL,
    state TEXT NOT NULL, reason TEXT, code INTEGER, attempt INTEGER NOT NULL, slots TEXT NOT NULL, nonce TEXT NOT NULL,
    faults TEXT NOT NULL, accepted_at REAL NOT NULL, changed_at REAL NOT NULL, started_steady_s REAL NOT NULL,
    not_before_steady_s REAL NOT NULL, cancel_asked INTEGER NOT NULL, progress TEXT, url TEXT NOT NULL,
    detail TEXT NOT NULL, result TEXT,
    source INTEGER REFERENCES sources, position INTEGER,  -- NULL: made here, by a retry
    warnings TEXT NOT NULL, log_dir TEXT NOT NULL, seq INTEGER NOT NULL DEFAULT 0, retry_of TEXT);
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE INDEX jobs_accepted ON jobs (source, position) WHERE state = 'ACCEPTED';
CREATE INDEX jobs_waiting ON jobs (light, min(gpus, 1), priority DESC, number) WHERE state = 'QUEUED';
CREATE INDEX jobs_retrying ON jobs (not_before_steady_s) WHERE state = 'RETRY_WAIT';
CREATE INDEX jobs_retries ON jobs (retry_of) WHERE retry_of IS NOT NULL;

-- "cancel this job when it comes", from before it came or while it could not be told of yet
CREATE TABLE wishes (job_id TEXT PRIMARY KEY, asked_at REAL NOT NULL) WITHOUT ROWID;

-- what the world is told, in order; events of jobs stay after they were published, as the history of the job
CREATE TABLE records (
    number INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    headers TEXT NOT NULL, job INTEGER REFERENCES jobs, event TEXT NOT NULL, published INTEGER NOT NULL DEFAULT 0);
CREATE INDEX records_waiting ON records (number) WHERE NOT published;
CREATE INDEX records_of_job ON records (job, number) WHERE job IS NOT NULL;
"""

# Made anew at every start, so that they are always those of this program.
RULES = """
DROP TABLE IF EXISTS moves;
CREATE TABLE moves (was TEXT, becomes TEXT, PRIMARY KEY (was, becomes)) WITHOUT ROWID;

DROP TRIGGER IF EXISTS only_known_moves;
CREATE TRIGGER only_known_moves BEFORE UPDATE OF state ON jobs
WHEN OLD.state <> NEW.state AND NOT EXISTS (SELECT 1 FROM moves WHERE was = OLD.state AND becomes = NEW.state)
BEGIN SELECT RAISE(ABORT, 'a job may not make this move'); END;

DROP TRIGGER IF EXISTS attempts_are_counted;
CREATE TRIGGER attempts_are_counted BEFORE UPDATE OF state, attempt ON jobs
WHEN NEW.attempt <> OLD.attempt + (OLD.state = 'QUEUED' AND NEW.state = 'STARTING')
BEGIN SELECT RAISE(ABORT, 'attempts are counted by one, at their start'); END;

DROP TRIGGER IF EXISTS a_job_is_what_it_was;
CREATE TRIGGER a_job_is_what_it_was BEFORE UPDATE OF number, job_id, op, canonical ON jobs
BEGIN SELECT RAISE(ABORT, 'what a job is never changes'); END;

DROP TRIGGER IF EXISTS no_job_is_forgotten;
CREATE TRIGGER no_job_is_forgotten BEFORE DELETE ON jobs WHEN OLD.state <> 'ACCEPTED'
BEGIN SELECT RAISE(ABORT, 'a job that may have been started is never forgotten'); END;
"""


def open_database(path: Path) -> sqlite3.Connection:
    """The database at `path`, made if need be, in the format of this version."""
    new = not path.exists()
    path.touch(0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.executescript(PRAGMAS)
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise BadData(path, f"has format {found}, and this version reads format {VERSION}; "
                                f"run the newer version again")
        connection.executescript(f"BEGIN IMMEDIATE; {'' if found else TABLES} {RULES} PRAGMA user_version = {VERSION};")
        connection.executemany("INSERT INTO moves VALUES (?, ?)",
                               [(was, becomes) for was, after in MOVES.items() for becomes in after])
        connection.execute("COMMIT")
        if new:
            fsync_folder(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection
