"""A bare plane and box whose depths are known on paper, and one tiny town for all tests that read one."""

from pathlib import Path

import numpy as np
import pytest

from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.synth.mesh import Material, box, join, quads
from adaptive_nerf.synth.renderer import MeshRenderer
from adaptive_nerf.synth.town import TownRequest, make_town
from adaptive_nerf.synth.world import world_of

TINY = TownRequest(seed=3, size_m=(60.0, 48.0), photos=4, event_photos=2, resolution=(64, 48))


@pytest.fixture(scope="session")
def plane_and_box() -> MeshRenderer:
    """The ground at Up 0, 100 m wide, with a box 4 x 4 x 3 m at the origin."""
    ground = quads([[(-50, -50, 0), (50, -50, 0), (50, 50, 0), (-50, 50, 0)]], Material.PLAIN, (0.3, 0.3, 0.3))
    return MeshRenderer(world_of(join([ground, box((-2, -2, 0), (2, 2, 3), Material.PLAIN, (0.5, 0.2, 0.2))])))


@pytest.fixture
def camera():
    def make(position, target, up=(0, 0, 1), **changes) -> Camera:
        pose = look_at(np.array(position, float), np.array(target, float), np.array(up, float))
        given = {"width": 64, "height": 48, "fx": 60.0, "fy": 60.0, "cx": 32.0, "cy": 24.0}
        return Camera(**{**given, "c2w": pose, "frame": FrameName.ENU, **changes})
    return make


@pytest.fixture(scope="session")
def tiny_town(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("towns") / "tiny"
    make_town(TINY, output, jobs=1)
    return output
