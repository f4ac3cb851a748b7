import pytest

from adaptive_nerf.common.errors import BadInput
from adaptive_nerf.models.architecture import Architecture
from tests.support.fields import tiny_architecture


def test_an_architecture_comes_back_from_json():
    shape = tiny_architecture(head="own", appearance="code", deferred=False, density_bias=-1.0)
    assert Architecture.from_json(shape.to_json()) == shape


@pytest.mark.parametrize("change", [{"colour": "blue"}, {"levels": 99}, {"head": "third"}, {"log2_size": "large"},
                                    {"trunk_width": 5000}, {"appearance": "full"}, {"base_resolution": 1}], ids=str)
def test_what_this_program_does_not_know_is_refused(change):
    with pytest.raises(BadInput, match="architecture in the checkpoint"):
        Architecture.from_json({**tiny_architecture().to_json(), **change})
