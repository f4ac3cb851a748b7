import shutil
import struct
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data import colmap
from adaptive_nerf.data.colmap import ColmapCamera, first_few, read_model
from adaptive_nerf.geometry.frames import c2w_from_colmap
from tests.unit.data.colmap_factory import LENSES

PINHOLES = ("PINHOLE", "SIMPLE_PINHOLE")


@pytest.fixture
def flight(make_flight):
    return make_flight(ecef=False, names=["b, 1.JPG", "sub/c.JPG", "a.JPG"])


@pytest.fixture
def text_flight(make_flight):
    return make_flight("text", ecef=False, text=True, names=["b, 1.JPG", "sub/c.JPG", "a.JPG"])


def edit_line(path: Path, starts: str, new: str) -> None:
    lines = [new if line.startswith(starts) else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")


def test_images_come_in_the_order_of_their_names_with_their_poses(flight):
    model = read_model(flight.model)
    assert [image.name for image in model.images] == ["a.JPG", "b, 1.JPG", "sub/c.JPG"]
    poses = {image.name: c2w_from_colmap(image.world_to_camera) for image in model.images}
    for name, truth in zip(flight.names, flight.c2w_enu, strict=True):
        np.testing.assert_allclose(poses[name], truth, atol=1e-12)
    assert model.points.shape == flight.points_enu.shape
    assert model.warnings == ()


def test_a_text_model_says_the_same_as_a_binary_one(flight, text_flight):
    binary, text = read_model(flight.model), read_model(text_flight.model)
    assert binary.images == text.images
    for one, other in zip(binary.images, text.images, strict=True):
        np.testing.assert_array_equal(one.world_to_camera, other.world_to_camera)
    np.testing.assert_array_equal(np.sort(binary.points, 0), np.sort(text.points, 0))


def test_a_model_of_three_files_is_enough(flight):
    for name in ("rigs.bin", "frames.bin"):
        (flight.model / name).unlink()
    assert len(read_model(flight.model).images) == 3


@pytest.mark.parametrize("name", ["cameras", "images", "points3D", "rigs", "frames"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused_by_name(flight, name, share):
    path = flight.model / f"{name}.bin"
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content) * share)])
    with pytest.raises(BadData, match=rf"{name}.bin: is cut off"):
        read_model(flight.model)


def test_a_count_that_promises_more_is_refused(flight):
    path = flight.model / "images.bin"
    path.write_bytes(struct.pack("<Q", 1 << 60) + path.read_bytes()[8:])
    with pytest.raises(BadData, match="hold 3 of 1152921504606846976 records"):
        read_model(flight.model)


def test_a_nan_in_a_binary_pose_is_refused_with_the_photo(flight):
    for name in ("rigs.bin", "frames.bin"):  # they would hold the pose once more
        (flight.model / name).unlink()
    path = flight.model / "images.bin"
    content = bytearray(path.read_bytes())
    struct.pack_into("<d", content, 8 + 4 + 5 * 8, float("nan"))  # the first image's second translation
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"1 of 3 poses hold NaN.*'b, 1.JPG'"):
        read_model(flight.model)


def test_a_nan_in_a_text_pose_is_refused_with_the_photo(text_flight):
    edit_line(text_flight.model / "images.txt", "3 ", "3 1 0 0 0 nan 0 0 1 a.JPG")
    with pytest.raises(BadData, match=r"images.txt: the pose of a.JPG holds NaN"):
        read_model(text_flight.model)


def test_a_zero_quaternion_is_refused(text_flight):
    (text_flight.model / "frames.txt").unlink()
    (text_flight.model / "rigs.txt").unlink()
    edit_line(text_flight.model / "images.txt", "3 ", "3 0 0 0 0 1 2 3 1 a.JPG")
    with pytest.raises(BadData, match=r"zero quaternion: a.JPG"):
        read_model(text_flight.model)


def test_a_quaternion_of_another_length_is_normalised_and_said(text_flight):
    (text_flight.model / "frames.txt").unlink()
    (text_flight.model / "rigs.txt").unlink()
    edit_line(text_flight.model / "images.txt", "3 ", "3 2 0 0 0 1 2 3 1 a.JPG")
    model = read_model(text_flight.model)
    np.testing.assert_allclose(model.images[0].world_to_camera, np.column_stack([np.eye(3), [1, 2, 3]]))
    assert "1 quaternions" in model.warnings[0]


def test_a_model_without_cameras_is_refused(text_flight):
    for name in ("cameras", "images", "points3D", "rigs", "frames"):
        (text_flight.model / f"{name}.txt").write_text("# nothing\n")
    with pytest.raises(BadData, match="holds 0 cameras and 0 posed images"):
        read_model(text_flight.model)


def test_a_missing_file_is_named(flight):
    (flight.model / "points3D.bin").unlink()
    with pytest.raises(BadData, match=r"holds no points3D.bin"):
        read_model(flight.model)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(BadData, match="model: is not a folder"):
        read_model(tmp_path / "model")


@pytest.mark.parametrize(("line", "problem"), [
    ("1 PINHOLE 64 48 nan 50 32 24", "pycolmap cannot read it|parameters"),
    ("1 PINHOLE 64 48 0 50 32 24", "positive focal length"),
    ("1 PINHOLE 0 48 50 50 32 24", "is 0x48 pixels"),
    ("1 EQUIRECTANGULAR 64 48 64 48", "sees all around"),
    ("1 MAGIC 64 48 1 2 3", "Camera model does not exist"),
])
def test_a_camera_that_cannot_be_used_is_refused(text_flight, line, problem):
    edit_line(text_flight.model / "cameras.txt", "1 ", line)
    with pytest.raises(BadData, match=problem):
        read_model(text_flight.model)


def test_the_same_name_twice_is_refused(text_flight):
    path = text_flight.model / "images.txt"
    path.write_text(path.read_text().replace("sub/c.JPG", "a.JPG"))
    with pytest.raises(BadData, match=r"a\.JPG.*twice|pycolmap cannot read it"):
        read_model(text_flight.model)


def test_a_reader_that_dies_costs_one_line(flight, monkeypatch):
    monkeypatch.setattr(colmap.sys, "executable", shutil.which("false"))
    with pytest.raises(BadData, match=r"pycolmap crashed on it \(exit 1: no message\)"):
        read_model(flight.model)


def test_a_reader_that_does_not_end_is_stopped(flight, monkeypatch):
    monkeypatch.setattr(colmap, "READ_SECONDS", 0.0)
    with pytest.raises(BadData, match="was not done with it"):
        read_model(flight.model)


@pytest.mark.parametrize("lens", LENSES)
def test_distortion_is_padded_and_pinholes_have_none(lens):
    camera = ColmapCamera(1, lens, 64, 48, tuple(map(float, LENSES[lens])))
    assert len(camera.distortion) in (5, 12, 16)
    assert camera.is_pinhole == (lens in PINHOLES)
    assert any(camera.distortion) == (lens not in (*PINHOLES, "SIMPLE_FISHEYE", "FISHEYE"))
    assert camera.undistort_kind == ("none" if lens in PINHOLES else "fisheye" if "FISHEYE" in lens else "opencv")


def test_every_lens_of_pycolmap_is_tested_but_the_one_that_sees_all_around():
    assert set(pycolmap.CameraModelId.__members__) - {"INVALID", "EQUIRECTANGULAR"} == set(LENSES)


def test_a_resized_camera_sees_the_same(flight):
    camera = ColmapCamera(1, "OPENCV", 64, 48, tuple(map(float, LENSES["OPENCV"])))
    ray = np.array([[0.2, -0.1, 1.0]])
    pixel, double = (view.pycolmap_camera().img_from_cam(ray) for view in (camera, camera.resized(128, 96)))
    np.testing.assert_allclose(double, 2 * pixel)


def test_only_the_first_few_names_are_told():
    assert first_few([str(index) for index in range(9)]) == "0, 1, 2, 3, 4 and 4 more"
    assert first_few(["a, b", "c"]) == "'a, b', c"
