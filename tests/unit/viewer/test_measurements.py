import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.geometry.frames import FrameName, local_frame
from adaptive_nerf.geometry.geodesy import ecef_from_geodetic
from adaptive_nerf.viewer.kept_measurements import as_text, from_text, key_of
from adaptive_nerf.viewer.measurements import (
    Measurement,
    Measurements,
    measurement_words,
    position_words,
    to_csv,
    to_geojson,
)


@pytest.fixture
def two() -> Measurements:
    return Measurements().with_point((1.0, 2.0, 3.0), 0.1).with_distance((0.0, 0.0, 0.0), (3.0, 4.0, -12.0), 0.2)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_distance_is_told_in_space_on_the_map_and_in_height(two):
    assert two.items[1].spans_m() == (13.0, 5.0, -12.0)


def test_names_are_given_changed_and_never_twice(two):
    renamed = two.renamed(0, "  broken\nroof ").without(1).with_point((0.0, 0.0, 0.0), 0)
    assert [item.name for item in renamed.items] == ["broken roof", "Point 2"]
    assert [item.name for item in two.without(0).with_point((0.0, 0.0, 0.0), 0).items] == ["Distance 1", "Point 2"]
    assert two.renamed(0, " \n") == two
    assert two.renamed(7, "x") == two


def test_geojson_is_longitude_latitude_height_and_leads_back(two, georeferenced):
    features = json.loads(to_geojson(two.items, georeferenced))["features"]
    lon, lat, height = features[0]["geometry"]["coordinates"]
    back = georeferenced.convert(FrameName.ECEF, FrameName.ENU).points(ecef_from_geodetic(np.array([lat, lon, height])))
    assert back == pytest.approx([1, 2, 3], abs=2e-3)
    assert features[1]["geometry"]["type"] == "LineString"
    assert features[1]["properties"]["distance_m"] == 13


def test_without_a_geo_reference_metres_are_called_local_metres(two, local):
    told = json.loads(to_geojson(two.items, local))
    assert "local metres" in told["coordinate_system"]
    assert told["features"][0]["geometry"]["coordinates"] == [1, 2, 3]
    assert rows(to_csv(two.items, local))[0]["latitude_deg"] == ""
    assert "local" in position_words((1.0, 2.0, 3.0), local)


def test_every_height_says_what_it_counts_from(two, georeferenced, local):
    """A person who reads 185 m on a map of heights above the sea is wrong by tens of metres."""
    assert position_words((0.0, 0.0, 0.0), georeferenced).endswith("180.00 m above the ellipsoid")
    for frame, zero in ((georeferenced, "WGS84 ellipsoid"), (local, "survey's own coordinates")):
        told = json.loads(to_geojson(two.items, frame))
        assert all(zero in one["heights_are"] for one in (told, *(part["properties"] for part in told["features"])))
        assert all(zero in row["heights_are"] for row in rows(to_csv(two.items, frame)))
    row = rows(to_csv(two.items, georeferenced))[0]
    assert "reference point, itself 180.000 m" in row["up_m_is"]
    assert float(row["ellipsoidal_height_m"]) == pytest.approx(180 + float(row["up_m"]), abs=1e-3)


def test_a_difference_of_heights_is_that_of_the_heights_beside_it(georeferenced):
    """Five kilometres on, a place that is as high lies 2 m lower as seen from here."""
    far = Measurements().with_distance((0.0, 0.0, 0.0), (5000.0, 0.0, 0.0), 0.1).items
    row, = rows(to_csv(far, georeferenced))
    rise_m = float(row["to_ellipsoidal_height_m"]) - float(row["ellipsoidal_height_m"])
    assert rise_m == pytest.approx(1.96, abs=0.02)
    assert float(row["height_difference_m"]) == pytest.approx(rise_m, abs=2e-3)
    properties = json.loads(to_geojson(far, georeferenced))["features"][0]["properties"]
    assert properties["height_difference_m"] == pytest.approx(rise_m, abs=2e-3)
    assert "+1.96 m in height" in measurement_words(far[0], georeferenced)


def test_without_a_geo_reference_a_difference_of_heights_is_that_of_local_metres(two, local):
    assert rows(to_csv(two.items, local))[1]["height_difference_m"] == "-12.000"


def test_what_came_later_is_numbered_anew_and_given_names_stay(two):
    later = Measurements().with_point((7.0, 8.0, 9.0), 0).with_point((0.0, 0.0, 0.0), 0).renamed(1, "broken roof")
    both = two.followed_by(later)
    assert [item.name for item in both.items] == ["Point 1", "Distance 1", "Point 2", "broken roof"]
    assert both.items[2].start_enu_m == (7.0, 8.0, 9.0)
    assert both.with_point((0.0, 0.0, 0.0), 0).items[-1].name == "Point 4"


def test_another_scene_under_the_same_name_has_measurements_of_its_own(georeferenced, local):
    assert key_of("look", georeferenced) == key_of("look", georeferenced)
    assert len({key_of("look", georeferenced), key_of("look", local), key_of("other", local)}) == 3


def test_csv_has_degrees_and_metres_of_both_ends(two, georeferenced):
    point, distance = rows(to_csv(two.items, georeferenced))
    assert float(point["latitude_deg"]) == pytest.approx(48.2, abs=1e-3)
    assert (point["east_m"], point["to_east_m"], point["distance_m"]) == ("1.000", "", "")
    assert (distance["to_up_m"], distance["height_difference_m"]) == ("-12.000", "-12.000")


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-2", "@SUM(A1)", " =x", "\t=x"])
def test_no_name_is_a_formula_in_a_spreadsheet(name, georeferenced):
    told = rows(to_csv((Measurement(name, (0.0, 0.0, 0.0)),), georeferenced))[0]["name"]
    assert told == f"'{name}"


@given(st.text(max_size=30))
def test_any_name_comes_back_out_of_the_csv(name):
    renamed = Measurements().with_point((0.0, 0.0, 0.0), 0).renamed(0, name)
    assert rows(to_csv(renamed.items, local_frame()))[0]["name"].removeprefix("'") == \
        renamed.items[0].name.removeprefix("'")


def test_words_have_units(two, georeferenced):
    assert "°" in measurement_words(two.items[0], georeferenced)
    assert measurement_words(two.items[1], georeferenced) == "13.00 m (5.00 m on the map, −12.00 m in height)"


def test_what_the_browser_kept_is_read_back(two):
    assert from_text(as_text(two)) == two


def test_what_was_taken_for_the_surveys_ground_is_told_in_files_and_kept(two, georeferenced):
    book = two.with_point((0.0, 0.0, 0.0), 0, by_survey=True).with_distance((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 0, True)
    assert [row["ground_by_survey"] for row in rows(to_csv(book.items, georeferenced))] == ["", "", "yes", "yes"]
    features = json.loads(to_geojson(book.items, georeferenced))["features"]
    assert [feature["properties"]["ground_by_survey"] for feature in features] == [False, False, True, True]
    assert from_text(as_text(book)) == book
    assert two.followed_by(book).items[-1].by_survey


def test_what_an_older_page_kept_without_telling_of_the_survey_is_read(two):
    older = json.loads(as_text(two))
    older["items"] = [item[:4] for item in older["items"]]
    assert from_text(json.dumps(older)) == two


def test_what_an_older_page_counted_together_gives_no_name_twice(two):
    older = as_text(two).replace('"made": [1, 1]', '"made": 2')
    assert from_text(older).with_point((0.0, 0.0, 0.0), 0).items[-1].name == "Point 3"


@pytest.mark.parametrize("text", [None, "", "{", "[]", "[" * 10**5, '{"format_version": 2, "items": []}',
                                  '{"format_version": 1, "items": [["a", [1, 2], null, 0], 5]}',
                                  '{"format_version": 1, "items": [["b", [1, 2, NaN], null, 0]]}',
                                  '{"format_version": 1, "items": {"a": 1}, "made": "x"}'])
def test_what_is_not_ours_is_nothing(text):
    assert from_text(text) == Measurements()
