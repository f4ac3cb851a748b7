"""Random similarities, frames and cameras for property tests."""

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.similarity import Similarity


def vectors(bound):
    return st.tuples(*[st.floats(-bound, bound)] * 3)


rotations = vectors(3.0).map(lambda vector: Rotation.from_rotvec(vector).as_matrix())
similarities = st.builds(Similarity, st.floats(0.01, 100), rotations, vectors(1000).map(np.array))
scene_frames = st.builds(SceneFrame, vectors(300), st.floats(1, 1000),
                         st.tuples(st.floats(-89.9, 89.9), st.floats(-180, 180), st.floats(-100, 4000)),
                         st.just((-50.0, 80.0)))
poses = st.builds(lambda rotation, position: np.c_[rotation, position], rotations, vectors(100))
cameras = st.builds(Camera, st.integers(8, 400), st.integers(8, 300), st.floats(50, 900), st.floats(50, 900),
                    st.floats(0, 400), st.floats(0, 300), poses, st.just(FrameName.ENU),
                    projection=st.sampled_from(["perspective", "orthographic"]))
