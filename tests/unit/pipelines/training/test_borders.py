"""Photos with black borders, of a scene that brings no masks of them."""

import shutil

import numpy as np
import pytest
from PIL import Image

from adaptive_nerf.pipelines.opening import photos_in_memory, scene_of
from tests.unit.pipelines.training.factory import training_run


@pytest.fixture
def bordered_run(training_scene, tmp_path):
    """Two of the photos have eight black columns of 32."""
    shutil.copytree(training_scene, tmp_path / "scene")
    for path in sorted((tmp_path / "scene" / "train" / "rgbs").glob("*.png"))[:2]:
        pixels = np.array(Image.open(path))
        pixels[:, :8] = 0
        Image.fromarray(pixels).save(path)
    return training_run(tmp_path / "scene", tmp_path / "job")


def test_borders_that_are_found_are_told_once_and_left_out(bordered_run):
    scene = scene_of(bordered_run)
    loaded = photos_in_memory(bordered_run, scene.photos, scene)
    found = [photo for photo in loaded if photo.borders_found]
    assert len(found) == 2
    assert not any(photo.valid[:, :8].any() for photo in found)
    (warning,) = bordered_run.progress.warnings
    share = 100 * (1 - np.mean([photo.valid.mean() for photo in found]))
    assert warning == (f"2 photos have black borders from undistortion; they are left out ({share:.1f} % of the "
                       "pixels), in training and in scores")
