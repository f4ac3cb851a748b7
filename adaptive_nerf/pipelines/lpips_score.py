"""LPIPS: how different two pictures look to people, 0 = the same. Only where its AlexNet weights are on this machine.

The `lpips` package brings the small calibrated layers; the AlexNet beneath comes from a file that somebody put here.
Nothing is ever downloaded: the network is always built empty, then filled from that file.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lpips
import numpy as np
import torch
import torch.hub
from torch import Tensor

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.tensor_files import load_dict
from adaptive_nerf.pipelines.metrics import Mask, Picture

NOT_COMPUTED = "not computed: weights missing"
IN_THE_CACHE = "alexnet-owt-*.pth"
SMALLEST_SIDE_PX = 64  # AlexNet halves a picture five times
TOO_SMALL = f"not computed: a picture has less than {SMALLEST_SIDE_PX} px"
# Where torchvision's convolutions stand in the slices of the lpips package.
SLICE_OF_LAYER = {0: 1, 3: 2, 6: 3, 8: 4, 10: 5}


def find_weights(given: str) -> Path | None:
    """The file named, or the one in torch's hub cache; None where there is none."""
    if given:
        return Path(given) if Path(given).is_file() else None
    cached = sorted((Path(torch.hub.get_dir()) / "checkpoints").glob(IN_THE_CACHE))
    return cached[-1] if cached else None


class Lpips:
    def __init__(self, weights: Path):
        self._network = _empty_network()
        self._fill(weights)

    @torch.inference_mode()
    def score(self, seen: Picture, real: Picture, valid: Mask) -> float | None:
        """Mean over the valid pixels; elsewhere ours is replaced by the photo. None of a picture below 64 pixels."""
        if min(real.shape[:2]) < SMALLEST_SIDE_PX or not valid.any():
            return None
        pasted = np.where(valid[..., None], np.clip(np.nan_to_num(seen, nan=0.0), 0, 1), real)
        distance = self._network(_batch(pasted), _batch(real), normalize=True)  # [1, 1, h, w]
        return float(distance[0, 0].numpy()[valid].mean())

    def _fill(self, path: Path) -> None:
        weights = load_dict(path)
        slices = self._network.net.state_dict()
        for layer, number in SLICE_OF_LAYER.items():
            for kind in ("weight", "bias"):
                key = f"features.{layer}.{kind}"
                wanted = slices[f"slice{number}.{layer}.{kind}"]
                value: Any = weights.get(key)
                if not isinstance(value, Tensor) or value.shape != wanted.shape:
                    raise BadData(path, "is not there, or of another shape", key=key,
                                  expected=f"torchvision's AlexNet: {list(wanted.shape)}")
                wanted.copy_(value)  # state_dict shares its memory with the network


def _empty_network() -> lpips.LPIPS:
    """`pnet_rand` is what keeps the package from fetching weights; the random numbers are all overwritten."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message="The parameter 'pretrained'", category=UserWarning)
        warnings.filterwarnings("ignore", message="Arguments other than a weight enum", category=UserWarning)
        network = lpips.LPIPS(net="alex", pnet_rand=True, spatial=True, verbose=False)
    return network.requires_grad_(False)


def _batch(picture: Picture) -> Tensor:  # [h, w, 3] -> [1, 3, h, w]
    return torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None]
