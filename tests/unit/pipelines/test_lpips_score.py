import socket

import lpips
import numpy as np
import pytest
import torch
from torchvision.models import alexnet

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.pipelines.lpips_score import Lpips, find_weights

EVERYWHERE = np.ones((64, 80), bool)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of the right shapes, but random: the plumbing is tested here, not what the figure means."""
    path = tmp_path_factory.mktemp("hub") / "checkpoints" / "alexnet-owt-12345678.pth"
    path.parent.mkdir()
    torch.manual_seed(1)
    torch.save({name: value for name, value in alexnet(weights=None).state_dict().items() if "features" in name}, path)
    return path


@pytest.fixture(scope="module", autouse=True)
def offline():
    """Whoever tries to reach another machine fails the test."""
    def refuse(*_):
        raise AssertionError("a connection was tried")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


@pytest.fixture(scope="module")
def scorer(weights, offline):
    return Lpips(weights)


def pictures(seed=3):
    rng = np.random.default_rng(seed)
    return rng.random((64, 80, 3)).astype(np.float32), rng.random((64, 80, 3)).astype(np.float32)


def test_weights_are_found_where_named_or_in_the_cache_and_nowhere_else(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert find_weights("") is None
    assert find_weights(str(weights)) == weights
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(weights.parent.parent))
    assert find_weights("") == weights
    assert find_weights(str(tmp_path / "none.pth")) is None


def test_equal_pictures_have_no_distance_and_others_do(scorer):
    one, other = pictures()
    assert scorer.score(one, one, EVERYWHERE) == 0
    assert scorer.score(one, other, EVERYWHERE) > 0.01


def test_the_figure_is_the_packages_own(scorer, weights):
    one, other = pictures()
    with pytest.warns(UserWarning, match="weight"):
        theirs = lpips.LPIPS(net="alex", pnet_rand=True, spatial=True, verbose=False)
    given = torch.load(weights, weights_only=True)
    for name in theirs.net.state_dict():
        _, layer, kind = name.split(".")
        theirs.net.state_dict()[name].copy_(given[f"features.{layer}.{kind}"])
    batches = [torch.from_numpy(picture).permute(2, 0, 1)[None] * 2 - 1 for picture in (one, other)]
    assert scorer.score(one, other, EVERYWHERE) == pytest.approx(float(theirs(*batches).detach().mean()), rel=1e-5)


def test_black_borders_have_no_part(scorer):
    one, other = pictures()
    valid = EVERYWHERE.copy()
    valid[:20] = False
    spoilt = one.copy()
    spoilt[:20] = np.nan
    assert scorer.score(spoilt, other, valid) == scorer.score(one, other, valid)


def test_a_picture_too_small_has_no_figure(scorer):
    assert scorer.score(np.zeros((32, 80, 3)), np.zeros((32, 80, 3)), np.ones((32, 80), bool)) is None


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    torch.save({"features.0.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(BadData, match=r"other\.pth.*features\.0\.weight.*AlexNet"):
        Lpips(tmp_path / "other.pth")


def test_a_file_that_is_no_weights_is_refused(tmp_path):
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(BadData, match=r"text\.pth"):
        Lpips(tmp_path / "text.pth")
