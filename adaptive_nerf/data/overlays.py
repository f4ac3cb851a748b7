"""Photos with their experts laid over: each expert's colour, stripes where several share, dark where nobody is."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from adaptive_nerf.data.expert_colours import expert_colours, striped
from adaptive_nerf.data.masks import load_mask
from adaptive_nerf.data.partition import Partition
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.geometry.types import AnyArray

WIDTH_PX = 960
TINT, STRIPE_PX = 0.45, 12
COLOUR_KEPT = 0.15  # of the photo: lawns and roofs must not be mistaken for an expert's colour
TEXT_PX, LINE_PX, PAD_PX = 23, 34, 12
SHEET_COLUMNS, SHEET_GAP_PX = 4, 10

Entry = tuple[tuple[int, int, int], str]  # a colour chip and what it says


@dataclass(frozen=True)
class Overlay:
    photo: Photo
    picture: Image.Image  # with its caption


def overlay(photo: Photo, partition: Partition) -> Overlay:
    height = round(WIDTH_PX * photo.height / photo.width)
    masks = np.stack([load_mask(partition.mask_path(expert, photo.stem), WIDTH_PX, height, (photo.width, photo.height))
                      for expert in range(partition.n_experts)])
    base = np.asarray(Image.fromarray(photo.pixels()).resize((WIDTH_PX, height), Image.Resampling.LANCZOS), np.float32)
    colours, n_claims = striped(masks, STRIPE_PX)
    grey = base.mean(axis=-1, keepdims=True)
    tinted = (grey + (base - grey) * COLOUR_KEPT) * (1 - TINT) + colours * TINT
    nobody = (grey * 0.3).repeat(3, axis=-1)
    blended = np.where((n_claims > 0)[..., None], tinted, nobody).astype(np.uint8)
    return Overlay(photo, _captioned(blended, photo, masks, n_claims))


def _captioned(picture: AnyArray, photo: Photo, masks: AnyArray, n_claims: AnyArray) -> Image.Image:
    height, width = picture.shape[:2]
    entries = _entries(masks, n_claims)
    lines = _wrapped(entries, width)
    page = Image.new("RGB", (width, height + LINE_PX * (len(lines) + 1) + PAD_PX), "white")
    page.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(page)
    draw.text((PAD_PX, height + LINE_PX * 0.65), f"{photo.stem}  {photo.name}  ({photo.split})", "black",
              font(TEXT_PX), anchor="lm")
    for row, line in enumerate(lines, 1):
        left, middle = PAD_PX, height + LINE_PX * (row + 0.65)
        for colour, text in line:
            draw.rectangle((left, middle - 9, left + 18, middle + 9), fill=colour)
            draw.text((left + 26, middle), text, "black", font(TEXT_PX), anchor="lm")
            left += _entry_width(text)
    return page


def _entries(masks: AnyArray, n_claims: AnyArray) -> list[Entry]:
    """Chips of the experts in this photo (they overlap: shares may sum to more than 100), and of nobody's pixels."""
    entries = []
    for expert, colour in enumerate(expert_colours(len(masks)).tolist()):
        if masks[expert].any():
            entries.append(((colour[0], colour[1], colour[2]), f"expert {expert}: {100 * masks[expert].mean():.1f} %"))
    for what, share, chip in (("shared", (n_claims > 1).mean(), (150, 150, 150)),
                              ("nobody", (n_claims == 0).mean(), (40, 40, 40))):
        if share > 0:
            entries.append((chip, f"{what}: {100 * share:.1f} %"))
    return entries


def _wrapped(entries: list[Entry], width: int) -> list[list[Entry]]:
    lines: list[list[Entry]] = [[]]
    left = PAD_PX
    for entry in entries:
        if left + _entry_width(entry[1]) > width and lines[-1]:
            lines.append([])
            left = PAD_PX
        lines[-1].append(entry)
        left += _entry_width(entry[1])
    return lines


def _entry_width(text: str) -> int:
    return 26 + math.ceil(font(TEXT_PX).getlength(text)) + 26


def contact_sheet(overlays: Sequence[Overlay]) -> Image.Image:
    columns = min(SHEET_COLUMNS, math.ceil(math.sqrt(len(overlays))))
    small = [item.picture.resize((WIDTH_PX // 2, round(item.picture.height / 2)), Image.Resampling.LANCZOS)
             for item in overlays]
    cell_height = max(picture.height for picture in small) + SHEET_GAP_PX
    cell_width = WIDTH_PX // 2 + SHEET_GAP_PX
    rows = math.ceil(len(small) / columns)
    sheet = Image.new("RGB", (columns * cell_width + SHEET_GAP_PX, rows * cell_height + SHEET_GAP_PX), "white")
    for index, picture in enumerate(small):
        row, column = divmod(index, columns)
        sheet.paste(picture, (SHEET_GAP_PX + column * cell_width, SHEET_GAP_PX + row * cell_height))
    return sheet


def jpeg_bytes(picture: Image.Image, quality: int = 90, subsampling: int = 0) -> bytes:
    """`subsampling` 0 keeps every pixel's colour, so that thin lines stay coloured; 2 makes it smaller."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


@cache
def font(size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size_px)
