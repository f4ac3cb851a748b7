"""The little cameras of the photos, where somebody stands among them."""

from types import SimpleNamespace

import numpy as np

from adaptive_nerf.viewer.overlays import CLEAR_UNITS, Overlays


def test_little_cameras_give_way_to_who_stands_among_them_and_come_back():
    overlays = Overlays(SimpleNamespace(), lambda _: None)
    near, far = (SimpleNamespace(position=np.array([east, 0.0, 10.0]), visible=True) for east in (1.0, 3 * CLEAR_UNITS))
    overlays._frusta = [near, far]
    overlays.clear_round(np.array([0.0, 0.0, 10.0]))
    assert (near.visible, far.visible) == (False, True)
    overlays.clear_round(far.position)
    assert (near.visible, far.visible) == (True, False)
    overlays.clear_round(None)
    assert near.visible
    assert far.visible
