"""The NVIDIA driver of this machine, asked of the system: torch does not tell."""

import re
import shutil
import subprocess
from pathlib import Path

KERNEL_SAYS = Path("/proc/driver/nvidia/version")


def version() -> str | None:
    """None where there is no driver."""
    try:
        found = re.search(r"\b\d{3,}\.[\d.]*\d\b", KERNEL_SAYS.read_text())
    except OSError:
        return _asked()
    return found[0] if found else "of an unknown version"


def _asked() -> str | None:
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    try:
        done = subprocess.run([command, "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True,
                              text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.split("\n")[0].strip() or None if done.returncode == 0 else None
