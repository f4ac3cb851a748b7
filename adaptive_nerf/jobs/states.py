"""The states of a job, and the one table of moves between them. Anything else is refused, here and in the database.

    ACCEPTED -> QUEUED -> STARTING -> RUNNING -> SUCCEEDED | FAILED | CANCELLED
                  ^                      |
                  +---- RETRY_WAIT <-----+ <- STOPPING (between a stop request and the proof of death)

LOST, HUNG, a time limit and out of memory are reasons, not states.
"""

from enum import IntEnum, StrEnum


class State(StrEnum):
    ACCEPTED = "ACCEPTED"  # on our disk; its offset may not be committed yet, so it must not start
    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    RETRY_WAIT = "RETRY_WAIT"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"  # of a message that never became a job; seen in events only


S = State
ENDINGS = {S.SUCCEEDED, S.FAILED, S.CANCELLED, S.RETRY_WAIT}
MOVES: dict[State, set[State]] = {
    S.ACCEPTED: {S.QUEUED, S.CANCELLED},
    S.QUEUED: {S.STARTING, S.CANCELLED, S.FAILED},
    S.STARTING: {S.RUNNING, S.STOPPING, *ENDINGS},
    S.RUNNING: {S.STOPPING, *ENDINGS},
    S.STOPPING: {*ENDINGS},
    S.RETRY_WAIT: {S.QUEUED, S.CANCELLED, S.FAILED},
}
TERMINAL = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.REJECTED})
LIVE = frozenset({S.STARTING, S.RUNNING, S.STOPPING})  # an attempt may have processes


class Reason(StrEnum):
    """Why a job is where it is; what a person reads beside the state."""

    DONE = "done"
    BAD_SPEC = "bad_spec"
    BAD_DATA = "bad_data"
    RESOURCE_TAKEN = "resource_taken"
    OWN_FAULT = "own_fault"
    STOPPED = "stopped"  # somebody else asked the runner to stop, as a shutdown of the host does
    OUT_OF_MEMORY = "out_of_memory"
    BROKEN_INSTALLATION = "broken_installation"
    SIGNAL = "signal"  # the runner was ended by a signal that was not ours
    LOST = "lost"  # no exit status: never taken for success
    SPAWN_FAILED = "spawn_failed"
    HUNG = "hung"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    NO_DEVICE = "no_device"  # asks for more GPUs than the host has


class Exit(IntEnum):
    """Exit codes of runner and shim."""

    DONE = 0
    BAD_SPEC = 64
    BAD_DATA = 65
    RESOURCE_TAKEN = 69
    OWN_FAULT = 70
    STOPPED = 75
    OUT_OF_MEMORY = 76
    BROKEN_INSTALLATION = 78


REASONS = {code: Reason[code.name] for code in Exit}


class Verb(StrEnum):
    """What a person can ask of a job, through the control topic or the socket."""

    CANCEL = "cancel"
    RETRY = "retry"
