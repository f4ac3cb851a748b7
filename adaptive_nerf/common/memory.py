"""Whether it was memory that ran out."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Python's and numpy's own error, and torch's, known by name: the service knows no torch."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "allocate memory" in str(error)
