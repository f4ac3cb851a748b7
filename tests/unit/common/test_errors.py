import pickle

import pytest

from adaptive_nerf.common.errors import BadData, DiskFull, OutputExists


@pytest.mark.parametrize("error", [
    BadData("a.pt", "is 3", key="H", expected="pixels"), OutputExists("a"), DiskFull("b")])
def test_errors_cross_process_borders_unchanged(error):
    back = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
    assert (type(back), str(back), back.path) == (type(error), str(error), error.path)


def test_bad_data_names_the_file_the_key_and_what_was_expected():
    error = BadData("train/metadata/000001.pt", "is -3", key="H", expected="a positive number")
    assert str(error) == "train/metadata/000001.pt: key 'H': is -3; expected a positive number"
