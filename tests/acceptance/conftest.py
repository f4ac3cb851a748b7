"""A tiny town that went through every command, as a user would type them."""

import pytest

from tests.support.clone import Clone


@pytest.fixture(scope="session")
def surveyed(tmp_path_factory) -> Clone:
    """The town at data/drz, prepared, partitioned, and with its later flight."""
    place = Clone(tmp_path_factory.mktemp("surveyed"))
    place.must("./scripts/make_town.py --output data/drz --photos 12 --event_photos 4 --resolution 96 72 --seed 3")
    place.must("./scripts/prepare_dataset.py --data_path data/drz --output_path data/drz/out/prepared --val_split 0.3 "
               "--scale_strategy camera_max --ecef_to_enu --enu_ref median")
    place.must("./scripts/create_clusters.py --data_path data/drz/out/prepared --grid_dim 2 2 --cluster_2d "
               "--boundary_margin 1.05 --ray_samples 256 --center_pixels --scene_scale 1.1 "
               "--output g22_grid_bm105_ss11 --resume")
    place.must("./scripts/update_dataset.py --update_model_path data/drz/event/model --image_path "
               "data/drz/event/images --prepared_dir data/drz/out/prepared --batch_tag event --on_overflow clip")
    return place
