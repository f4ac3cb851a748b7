"""How near a picture comes to the photo: PSNR, SSIM, and depth in metres, over valid pixels only.

Pictures are sRGB values 0 to 1, [h, w, 3]; `valid` [h, w] is False where the photo has no picture (black borders).
"Linear" figures are of the same pictures in linear light. A value that is no number counts as black, and is counted.
Ways to treat the colour of a photo whose exposure nobody knows:
  neutral   the picture as rendered, with the neutral appearance: the headline figure
  fitted    scale and offset per channel, by least squares in sRGB over the left half, scored on the right half alone
  own       as rendered with the appearance that the model has learned of this very photo: only of one adapted on
  constant  one colour for the whole picture: what it costs to know nothing
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

Picture = npt.NDArray[np.floating[Any]]  # [h, w, 3]
Mask = npt.NDArray[np.bool_]  # [h, w]
SMALLEST_ERROR = 1e-12  # two equal pictures have 120 dB, not infinity
SSIM_SIGMA = 1.5
SSIM_BORDER_PX = 5  # half of the window of 11 pixels: nearer to the frame there is no whole window


@dataclass(frozen=True)
class PictureScore:
    psnr_db: float
    psnr_linear_db: float
    ssim: float | None  # None where no window of 11 pixels fits
    ssim_linear: float | None


@dataclass(frozen=True)
class DepthError:
    """Over valid pixels that have a true depth; `missing_share` of them got no depth, and are in none of the others.
    These are None where no pixel got one."""

    median_m: float | None
    mean_abs_m: float | None
    p95_m: float | None
    missing_share: float


@dataclass(frozen=True)
class PhotoScore:
    neutral: PictureScore
    fitted: PictureScore | None  # None where a half has no valid pixel
    constant: PictureScore | None  # None where no colour was given
    depth: DepthError | None  # None where no truth is known
    lpips: float | None  # None where it was not computed
    valid_share: float
    pixels_without_number: int
    own: PictureScore | None = None  # None of a photo that the model was not adapted on


@dataclass(frozen=True)
class Truth:
    """What a picture is scored against."""

    rgb: Picture
    valid: Mask
    depth_m: npt.NDArray[np.floating[Any]] | None = None  # [h, w] along the optical axis, NaN where nothing
    constant_colour: npt.NDArray[np.floating[Any]] | None = None  # [3], of the training photos


def score_photo(rgb: Picture, truth: Truth, depth_m: npt.NDArray[np.floating[Any]] | None = None,
                lpips: float | None = None, own: Picture | None = None) -> PhotoScore | None:
    """`own`: the picture in the photo's own appearance. None where the photo has no valid pixel."""
    if not truth.valid.any():
        return None
    seen, real = _clean(rgb), _clean(truth.rgb)
    fitted = fitted_on_left(seen, real, truth.valid)
    right = right_half(real.shape[1])
    plain = None
    if truth.constant_colour is not None:
        plain = score_picture(np.broadcast_to(truth.constant_colour, real.shape), real, truth.valid)
    return PhotoScore(
        neutral=score_picture(seen, real, truth.valid),
        fitted=None if fitted is None else score_picture(fitted[:, right], real[:, right], truth.valid[:, right]),
        constant=plain,
        depth=None if truth.depth_m is None or depth_m is None else depth_error(depth_m, truth.depth_m, truth.valid),
        lpips=lpips,
        valid_share=float(truth.valid.mean()),
        pixels_without_number=int((~np.isfinite(rgb).all(-1) & truth.valid).sum()),
        own=None if own is None else score_picture(own, real, truth.valid))


def score_picture(seen: Picture, real: Picture, valid: Mask) -> PictureScore:
    seen, real = _clean(seen), _clean(real)
    seen_linear, real_linear = linear_from_srgb(seen), linear_from_srgb(real)
    return PictureScore(psnr(seen, real, valid), psnr(seen_linear, real_linear, valid),
                        ssim(seen, real, valid), ssim(seen_linear, real_linear, valid))


def psnr(seen: Picture, real: Picture, valid: Mask) -> float:
    return decibels(float(np.mean((seen[valid] - real[valid]) ** 2)))


def decibels(mean_squared_error: float) -> float:
    return -10 * math.log10(max(SMALLEST_ERROR, mean_squared_error))


def ssim(seen: Picture, real: Picture, valid: Mask) -> float | None:
    """The mean of the SSIM map over valid pixels whose window lies inside the picture.

    Where the photo has no picture, ours is replaced by it: windows that reach over the border are judged by the rest.
    """
    if min(real.shape[:2]) <= 2 * SSIM_BORDER_PX:
        return None
    counted = _inside(valid)
    if not counted.any():
        return None
    _, similarity = structural_similarity(
        np.where(valid[..., None], seen, real), real, channel_axis=2, data_range=1.0, gaussian_weights=True,
        sigma=SSIM_SIGMA, use_sample_covariance=False, full=True)
    return float(similarity[counted].mean())


def _inside(valid: Mask) -> Mask:
    inside = np.zeros_like(valid)
    whole = slice(SSIM_BORDER_PX, -SSIM_BORDER_PX)
    inside[whole, whole] = valid[whole, whole]
    return inside


def right_half(width: int) -> slice:
    """The columns that fitted figures are scored on."""
    return slice(width // 2, width)


def fitted_on_left(seen: Picture, real: Picture, valid: Mask) -> Picture | None:
    """The whole picture with scale and offset per channel that fit its left half best; None where a half is empty."""
    middle = seen.shape[1] // 2
    left = valid[:, :middle]
    if not left.any() or not valid[:, middle:].any():
        return None
    fitted = np.empty_like(seen)
    for channel in range(3):
        own = seen[:, :middle, channel][left]
        scale_and_offset = np.stack([own, np.ones_like(own)], -1)
        (scale, offset), *_ = np.linalg.lstsq(scale_and_offset, real[:, :middle, channel][left], rcond=None)
        fitted[..., channel] = seen[..., channel] * scale + offset
    return np.clip(fitted, 0, 1)


def mean_colour(photos: Iterable[tuple[Picture, Mask]]) -> npt.NDArray[np.float64]:
    """The mean sRGB colour of the valid pixels of photos. [3]"""
    total, count = np.zeros(3), 0
    for rgb, valid in photos:
        total += rgb[valid].sum(0, dtype=np.float64)
        count += int(valid.sum())
    return total / max(1, count)


def depth_error(depth_m: npt.NDArray[np.floating[Any]], truth_m: npt.NDArray[np.floating[Any]],
                valid: Mask) -> DepthError | None:
    """None where the truth has no surface at all."""
    known = valid & np.isfinite(truth_m)
    both = known & np.isfinite(depth_m)
    if not known.any():
        return None
    if not both.any():
        return DepthError(None, None, None, 1.0)
    error_m = np.abs(depth_m[both].astype(np.float64) - truth_m[both])
    return DepthError(float(np.median(error_m)), float(error_m.mean()), float(np.percentile(error_m, 95)),
                      1 - float(both.sum() / known.sum()))


def linear_from_srgb(srgb: Picture) -> Picture:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def mean_score(scores: Iterable[PhotoScore]) -> PhotoScore | None:
    """The mean of every figure over the photos that have it (decibels are averaged as decibels); None of no photos."""
    scores = list(scores)
    if not scores:
        return None
    return PhotoScore(
        neutral=_mean(PictureScore, [score.neutral for score in scores]),
        fitted=_mean(PictureScore, [score.fitted for score in scores]),
        constant=_mean(PictureScore, [score.constant for score in scores]),
        depth=_mean(DepthError, [score.depth for score in scores]),
        lpips=_mean_number([score.lpips for score in scores]),
        valid_share=float(np.mean([score.valid_share for score in scores])),
        pixels_without_number=sum(score.pixels_without_number for score in scores),
        own=_mean(PictureScore, [score.own for score in scores]))


def _mean(kind: Any, values: list[Any]) -> Any:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return kind(*(_mean_number([getattr(value, field.name) for value in known]) for field in fields(kind)))


def _mean_number(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _clean(picture: Picture) -> Picture:
    """Within 0 and 1, in double precision, black where it is no number."""
    return np.clip(np.nan_to_num(np.asarray(picture, np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0, 1)
