"""Colours as people write them (sRGB, #rrggbb), turned into the linear albedo that light is computed with."""

import numpy as np
import numpy.typing as npt


def linear_from_srgb(srgb: npt.ArrayLike) -> npt.NDArray[np.float64]:
    srgb = np.asarray(srgb, np.float64)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Values 0 to 1; what is brighter than white is clipped, as in a camera."""
    linear = np.clip(linear, 0, 1).astype(np.float32)
    return np.where(linear <= 0.0031308, linear * np.float32(12.92),
                    np.float32(1.055) * linear ** np.float32(1 / 2.4) - np.float32(0.055))


def colours(*written: str) -> npt.NDArray[np.float64]:
    """Linear albedos of colours like #b5533c. [n, 3]"""
    numbers = [[int(text[1 + 2 * channel:3 + 2 * channel], 16) / 255 for channel in range(3)] for text in written]
    return linear_from_srgb(numbers)


def colour(written: str) -> npt.NDArray[np.float64]:
    return colours(written)[0]


def muted(linear: npt.NDArray[np.float64], grey_part: float) -> npt.NDArray[np.float64]:
    """Colours [n, 3] mixed with the grey of their own brightness: sun and weather take the colour out of things."""
    brightness = linear @ np.array([0.2126, 0.7152, 0.0722])
    return linear * (1 - grey_part) + brightness[:, None] * grey_part
