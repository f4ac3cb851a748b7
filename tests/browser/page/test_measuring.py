"""Clicked places have the coordinates of the town; what was measured can be named, deleted, taken home, and stays."""

import csv
import io
import json
import re

import numpy as np
import pytest

from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.geodesy import ecef_from_geodetic
from adaptive_nerf.viewer.overview import overview_of
from tests.support.town_page_truth import window_camera
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
SPOTS = [(420, 560), (200, 300), (480, 430)]  # window pixels, left of the panel
NEAR_M = 0.5


def true_places(truth, spots):
    """ENU metres of window pixels. [n, 3]"""
    camera = window_camera(overview_of(truth.scene).start, truth.scene.frame)
    return truth.before.points_at(camera, np.array(spots, float) + 0.5)


def enu_of(lat_lon_height, frame):
    return frame.convert(FrameName.ECEF, FrameName.ENU).points(ecef_from_geodetic(np.array(lat_lon_height)))


def measure(person, tool, *spots):
    person.presses(tool)
    for spot in spots:
        person.clicks(*spot)


def test_clicked_points_have_the_coordinates_of_the_town(shared_server, visit, truth):
    person = visit(shared_server)
    person.opens("Measure")
    person.sees("Heights are metres above the WGS84 ellipsoid")
    for number, (spot, place) in enumerate(zip(SPOTS, true_places(truth, SPOTS), strict=True), 1):
        measure(person, "Point", spot)
        told = person.sees(re.compile(rf"Point {number}: ")).inner_text()
        numbers = [float(value) for value in re.findall(r"-?\d+\.\d+", told.partition(":")[2])[:3]]
        assert np.linalg.norm(enu_of(numbers, truth.scene.frame) - place) < NEAR_M


def test_a_distance_is_that_between_the_two_places(shared_server, visit, truth):
    person = visit(shared_server)
    person.opens("Measure")
    measure(person, "Distance", SPOTS[0])
    person.sees("Now click where it ends")
    person.clicks(*SPOTS[2])
    told = person.sees(re.compile("Distance 1: ")).inner_text()
    first, _, last = true_places(truth, SPOTS)
    metres = float(re.search(r"([\d.]+) m \(", told).group(1))
    assert metres == pytest.approx(float(np.linalg.norm(last - first)), abs=NEAR_M)


def test_measurements_are_renamed_deleted_and_downloaded(shared_server, visit, truth):
    person = visit(shared_server)
    person.opens("Measure")
    measure(person, "Point", SPOTS[0])
    person.sees("Point 1: ")
    measure(person, "Point", SPOTS[1])
    person.sees("Point 2: ")
    person.page.get_by_role("button", name="Delete").first.click()
    wait_until(lambda: person.page.get_by_role("button", name="Delete").count() == 1, "one is deleted")
    person.fills("Point", "=roof")
    wait_until(lambda: "=roof" in person.downloads("GeoJSON").path().read_text(), "the new name")
    feature, = json.loads(person.downloads("GeoJSON").path().read_text())["features"]
    lon, lat, height = feature["geometry"]["coordinates"]
    place = true_places(truth, SPOTS)[1]
    assert np.linalg.norm(enu_of((lat, lon, height), truth.scene.frame) - place) < NEAR_M
    row, = csv.DictReader(io.StringIO(person.downloads("CSV").path().read_text()))
    assert row["name"] == "'=roof", "a spreadsheet takes it for text"
    assert float(row["up_m"]) == pytest.approx(place[2], abs=NEAR_M)


def test_where_nothing_is_nothing_is_measured(shared_server, visit, truth):
    """Level, over the town: sky above, right of the corner in which a browser without a GPU is told so."""
    person = visit(shared_server, "initialCameraPosition=0,-60,-40&initialCameraLookAt=0,0,-20")
    person.opens("Measure")
    measure(person, "Point", (400, 230))
    person.sees("Nothing is there")
