import csv
import json

from adaptive_nerf.pipelines.eval_records import write_metrics_csv, write_per_image_csv
from tests.unit.pipelines.eval_factory import evaluation


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_one_row_for_every_number_of_steps(tmp_path):
    made = evaluation()
    write_metrics_csv(tmp_path / "metrics.csv", made)
    told = rows(tmp_path / "metrics.csv")
    assert [row["tto"] for row in told] == ["0", "16", "64", "128"]
    last = made.last.mean
    assert float(told[3]["neutral_psnr_db"]) == round(last.neutral.psnr_db, 5)
    assert float(told[3]["fitted_psnr_linear_db"]) == round(last.fitted.psnr_linear_db, 5)
    assert float(told[3]["depth_median_m"]) == round(last.depth.median_m, 5)
    assert float(told[3]["adapt_s"]) == 2.816
    assert told[3]["lpips"] == "not computed: weights missing"


def test_photos_are_told_by_name_also_when_it_holds_commas_and_quotes(tmp_path):
    made = evaluation(names=('DJI, "north".JPG', "Straße.JPG"))
    write_per_image_csv(tmp_path / "per_image.csv", made)
    told = rows(tmp_path / "per_image.csv")
    assert [(row["photo"], row["tto"]) for row in told[:5:4]] == [('DJI, "north".JPG', "0"), ("Straße.JPG", "0")]
    assert len(told) == 8


def test_what_is_not_known_is_empty_and_never_nought(tmp_path):
    write_metrics_csv(tmp_path / "metrics.csv", evaluation(depth=False))
    assert {row["depth_median_m"] for row in rows(tmp_path / "metrics.csv")} == {""}


def test_all_of_it_is_plain_json():
    told = json.loads(json.dumps(evaluation().to_json(), allow_nan=False))
    assert told["format_version"] == 1
    assert told["ttos"][3]["mean"]["neutral"]["psnr_db"] == evaluation().last.mean.neutral.psnr_db
    assert told["photos"][0]["name"] == "DJI_0001.JPG"
