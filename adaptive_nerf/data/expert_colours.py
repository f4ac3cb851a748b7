"""One colour per expert, safe for colour-blind eyes; pixels of several experts are striped in all their colours."""

import colorsys

import numpy as np
import numpy.typing as npt

from adaptive_nerf.geometry.types import AnyArray, BoolArray

# Okabe and Ito's set without black and yellow, ordered so that neighbours differ in lightness too.
BASE = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0))


def expert_colours(count: int) -> npt.NDArray[np.uint8]:
    """sRGB bytes [count, 3]; beyond six the set comes again, darker, then lighter."""
    return np.array([_variant(BASE[i % len(BASE)], i // len(BASE)) for i in range(count)], np.uint8)


def striped(claims: BoolArray, stripe_px: int) -> tuple[npt.NDArray[np.uint8], AnyArray]:
    """Claims [K, h, w] -> colours [h, w, 3] and how many experts claim each pixel [h, w].

    Where n experts claim a pixel, diagonal stripes show their colours in turn.
    """
    colours = expert_colours(len(claims))
    n_claims = claims.sum(axis=0)
    rows, columns = np.indices(n_claims.shape)
    turn = (rows + columns) // stripe_px % np.maximum(n_claims, 1)  # which of the claimants shows here
    rank = np.cumsum(claims, axis=0) - 1
    shown = (claims & (rank == turn)).argmax(axis=0)
    return colours[shown], n_claims


def _variant(colour: tuple[int, int, int], step: int) -> tuple[int, ...]:
    hue, lightness, saturation = colorsys.rgb_to_hls(*(channel / 255 for channel in colour))
    shift = (0.0, -0.16, 0.18, -0.08, 0.1)[step % 5]
    red_green_blue = colorsys.hls_to_rgb(hue, min(max(lightness + shift, 0.15), 0.88), saturation)
    return tuple(round(255 * channel) for channel in red_green_blue)
