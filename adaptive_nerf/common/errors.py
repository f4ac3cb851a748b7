"""Every error that we raise on purpose. Each names the thing and the remedy; nothing else is shown to people.

    AdaptiveNerfError
    ├── BadInput                 what the user gave is wrong: exit 2
    │   ├── BadData              a file does not hold what it should (file, key, expected)
    │   ├── BadUsage             a flag, or a combination of flags
    │   ├── OutputExists         we do not overwrite without being told to
    │   ├── NotGeoreferenced     coordinates were asked of a scene that has none
    │   └── DiskFull             nothing half-written is left
    └── Failure                  the work itself failed: exit 1
"""

from pathlib import Path


class AdaptiveNerfError(Exception):
    exit_code = 1


class BadInput(AdaptiveNerfError):
    exit_code = 2


class BadData(BadInput):
    """A file that does not hold what it should: says which file, which key, what was expected."""

    def __init__(self, path: Path | str, problem: str, *, key: str | None = None, expected: str | None = None):
        self.path, self.problem, self.key, self.expected = Path(path), problem, key, expected
        where = f"{path}" if key is None else f"{path}: key '{key}'"
        super().__init__(f"{where}: {problem}" + (f"; expected {expected}" if expected else ""))

    def __reduce__(self):  # type: ignore[no-untyped-def]  # crosses process borders
        return _rebuild_bad_data, (self.path, self.problem, self.key, self.expected)


def _rebuild_bad_data(path: Path, problem: str, key: str | None, expected: str | None) -> BadData:
    return BadData(path, problem, key=key, expected=expected)


class BadUsage(BadInput):
    pass


class OutputExists(BadInput):
    def __init__(self, path: Path | str):
        self.path = Path(path)
        super().__init__(f"{path} exists already; choose another name, or replace it with --force")

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return OutputExists, (self.path,)


class NotGeoreferenced(BadInput):
    pass


class DiskFull(BadInput):
    def __init__(self, path: Path | str):
        self.path = Path(path)
        super().__init__(f"no space left on the disk while writing {path}; free some and run the same command again")

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return DiskFull, (self.path,)


class Failure(AdaptiveNerfError):
    pass
