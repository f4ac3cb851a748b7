"""The child process that lets pycolmap read a model: `python -m adaptive_nerf.data.colmap_reader FOLDER`.

A damaged model can make pycolmap abort, print C++ logs, or ask for all memory there is; in a process of its own that
costs one clear line. Stdout: an .npz; exit code REFUSED: a JSON object that says what is wrong.
"""

import io
import json
import resource
import sys
from pathlib import Path

import numpy as np
import pycolmap

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.colmap_layout import names_in_text, require_whole_binary

REFUSED = 3
MEMBERS = ("cameras", "images", "points3D")
OPTIONAL_MEMBERS = ("rigs", "frames")
MEMORY_BYTES, MEMORY_PER_BYTE_READ = 8 << 30, 64
READ_ERRORS = (ValueError, IndexError, KeyError, RuntimeError, MemoryError, OverflowError, OSError)


def main(folder: Path) -> int:
    try:
        content = pack(*read(folder))
    except BadData as error:
        refusal = {"path": str(error.path), "problem": error.problem, "expected": error.expected}
        sys.stdout.write(json.dumps(refusal))
        return REFUSED
    sys.stdout.buffer.write(content)
    return 0


def read(folder: Path) -> tuple[pycolmap.Reconstruction, dict[int, str]]:
    """The model, and names by image id where pycolmap's own cannot be relied on."""
    suffix = ".bin" if (folder / "images.bin").exists() or not (folder / "images.txt").exists() else ".txt"
    paths = [folder / f"{member}{suffix}" for member in MEMBERS]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise BadData(folder, f"holds no {', '.join(missing)}",
                      expected="a COLMAP model: cameras, images and points3D, all .bin or all .txt")
    paths += [path for member in OPTIONAL_MEMBERS if (path := folder / f"{member}{suffix}").is_file()]
    names = names_in_text(folder / "images.txt") if suffix == ".txt" else {}
    for path in paths if suffix == ".bin" else ():
        require_whole_binary(path)
    _limit_memory(sum(path.stat().st_size for path in paths))
    model = pycolmap.Reconstruction()
    try:
        (model.read_binary if suffix == ".bin" else model.read_text)(str(folder))
    except READ_ERRORS as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise BadData(folder, f"pycolmap cannot read it ({reason})", expected="an undamaged COLMAP model") from error
    return model, names


def _limit_memory(bytes_read: int) -> None:
    limit = MEMORY_BYTES + MEMORY_PER_BYTE_READ * bytes_read
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))


def pack(model: pycolmap.Reconstruction, names: dict[int, str]) -> bytes:
    """Plain arrays; what is no array goes as JSON text."""
    images = [image for image in model.images.values() if image.has_pose]
    poses = [image.cam_from_world() for image in images]
    cameras = [{"camera_id": camera.camera_id, "model": camera.model_name, "width": camera.width,
                "height": camera.height, "params": [float(number) for number in camera.params]}
               for camera in model.cameras.values()]
    buffer = io.BytesIO()
    np.savez(buffer,
             cameras=json.dumps(cameras),
             names=json.dumps([names.get(image.image_id, image.name) for image in images]),
             camera_ids=np.array([image.camera_id for image in images], np.int64),
             quaternions_xyzw=np.array([pose.rotation.quat for pose in poses], np.float64).reshape(-1, 4),
             translations=np.array([pose.translation for pose in poses], np.float64).reshape(-1, 3),
             points=np.array([point.xyz for point in model.points3D.values()], np.float64).reshape(-1, 3),
             without_pose=len(model.images) - len(images))
    return buffer.getvalue()


if __name__ == "__main__":
    pycolmap.logging.minloglevel = pycolmap.logging.FATAL.value
    sys.exit(main(Path(sys.argv[1])))
