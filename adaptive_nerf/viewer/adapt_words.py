"""What the tab *Adapt* tells of the one adaptation that all people share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adaptive_nerf.viewer.backend import AdaptationStatus
from adaptive_nerf.viewer.markup import Light, block, dot, safe

FEWEST_POINTS = 2  # of a curve that is drawn


def adaptation_html(now: AdaptationStatus, me: str) -> str:
    lines = [_main_line(now)]
    if now.started_by:
        other = f"<b>{safe(now.started_by, 60)}</b> started it; the others watch until it is kept or reset."
        lines.append("You started it." if now.started_by == me else other)
    if now.curve:
        psnr_db = now.curve[-1][2]
        lines.append(f"Agreement with the new photos: <b>{psnr_db:.1f} dB</b> (20 is rough, 30 is close)")
    if now.error:
        lines.append(f"{dot(Light.BAD)} {safe(now.error, 400)}")
    if now.kept:
        lines.append(f"{dot(Light.GOOD)} What was kept lies in {safe(now.kept, 200)}")
    if now.saved:
        lines.append(f"{dot(Light.GOOD)} Saved in {safe(now.saved, 200)}")
    return block("<br>".join(lines))


def _main_line(now: AdaptationStatus) -> str:
    flight = safe(now.flight, 60)
    if now.busy:
        return f"{dot(Light.CARE)} <b>Busy:</b> {safe(now.busy, 100)}…"
    if now.running:
        return f"{dot(Light.BUSY)} <b>Learning from {flight}</b>: step {now.steps} of {now.of}"
    if now.changed:
        return (f"{dot(Light.CARE)} <b>Paused after step {now.steps}</b> of {flight}. What you see is not kept yet: "
                f"press Keep or Reset.")
    return f"{dot(Light.OFF)} <b>Nothing is being learned.</b> The model is as it was opened or kept last."


def curve_data(now: AdaptationStatus) -> tuple[npt.NDArray[np.float64], ...]:
    """Steps, loss in thousandths, PSNR in dB as a plot takes them; never empty."""
    rows = np.array(now.curve, np.float64).reshape(-1, 3) * (1, 1000, 1)
    rows = rows if len(rows) else np.zeros((1, 3))
    return tuple(np.ascontiguousarray(rows[:, column]) for column in range(3))
