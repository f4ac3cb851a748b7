"""A very small trained model, and backends over copies of it."""

import shutil

import pytest

from adaptive_nerf.pipelines.opening import scene_of
from adaptive_nerf.viewer.field_backend import FieldBackend
from tests.support.viewer_scene import make_trained_job, view_run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("viewed")
    make_trained_job(root)
    return root


@pytest.fixture
def root(trained, tmp_path):
    """A copy of its own."""
    return shutil.copytree(trained, tmp_path / "root")


@pytest.fixture
def backend_of(root):
    made = []

    def make(**fields):
        run = view_run(root, **fields)
        made.append(FieldBackend(run, scene_of(run)))
        return made[-1]

    yield make
    for backend in made:
        backend.close()
