from adaptive_nerf.data.cluster_journal import differences, recorded_inputs
from adaptive_nerf.data.partition import PartitionSettings
from adaptive_nerf.data.scene import open_scene
from tests.unit.data.scene_factory import write_scene


def test_inputs_differ_by_settings_by_contents_and_by_their_format(tmp_path):
    wanted = recorded_inputs(open_scene(write_scene(tmp_path / "scene", count=1)), PartitionSettings((1, 2, 1)), {})
    assert differences(wanted, wanted) == []
    assert differences(wanted | {"format_version": 2}, wanted) == ["format_version was 2, now 1"]
    assert differences(wanted | {"photos_sha256": "other"}, wanted) == ["the photos changed"]
    other = wanted | {"settings": wanted["settings"] | {"seed": 7}}
    assert differences(other, wanted) == ["seed was 7, now 0"]
