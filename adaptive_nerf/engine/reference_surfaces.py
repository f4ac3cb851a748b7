"""What each ray met: how far away, and whose it is. The reference; nothing here has a gradient."""

import torch

from adaptive_nerf.engine.samples import Composited, Samples, Surfaces


@torch.no_grad()
def surfaces(samples: Samples, composited: Composited, window: float, n_slots: int) -> Surfaces:
    """The mean of the weights near the median: the median alone has the grain of the samples, the mean over the whole
    ray lies between a roof's edge and the street behind it. `window`: how near, in scene units."""
    rays, n_rays = samples.rays.long(), len(composited.median)
    near = (samples.t - composited.median[rays]).abs() <= window
    weight = torch.where(near, composited.weights, 0.0)
    total = weight.new_zeros(n_rays).index_add_(0, rays, weight)
    mean = weight.new_zeros(n_rays).index_add_(0, rays, weight * samples.t) / total
    share = weight.new_zeros(n_rays * n_slots)
    share.index_add_(0, rays * n_slots + samples.slots.long(), composited.weights)
    most, slot = share.view(n_rays, n_slots).max(1)
    return Surfaces(torch.where(torch.isfinite(composited.median), mean, torch.nan),
                    torch.where(most > 0, slot, -1).to(torch.int32))
