"""Something that one thread rings and another waits for, beside file descriptors."""

import contextlib
import os


class Bell:
    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        return self._descriptor

    def ring(self) -> None:
        os.eventfd_write(self._descriptor, 1)

    def quiet(self) -> None:
        """Forget the rings so far; call it before looking for work, never after."""
        with contextlib.suppress(BlockingIOError):  # nobody rang
            os.eventfd_read(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)
