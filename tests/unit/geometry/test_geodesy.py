import numpy as np
import pycolmap
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.geometry.geodesy import ecef_from_enu_at, ecef_from_geodetic, geodetic_from_ecef

ONE_MM = 1e-3
ORACLE = pycolmap.GPSTransform(pycolmap.GPSTransformEllipsoid.WGS84)

places = st.tuples(st.floats(-89.9, 89.9), st.floats(-180, 180), st.floats(-500, 9000)).map(np.array)
offsets = st.tuples(*[st.floats(-5000, 5000)] * 3).map(np.array)


@given(places)
def test_geodetic_to_ecef_agrees_with_pycolmap_to_a_millimetre(place):
    assert np.abs(ecef_from_geodetic(place) - ORACLE.ellipsoid_to_ecef(place[None])[0]).max() < ONE_MM


@given(places)
def test_ecef_to_geodetic_agrees_with_pycolmap_to_a_millimetre(place):
    ecef_m = ORACLE.ellipsoid_to_ecef(place[None])
    ours, theirs = geodetic_from_ecef(ecef_m), ORACLE.ecef_to_ellipsoid(ecef_m)
    assert np.abs(ecef_from_geodetic(ours) - ecef_from_geodetic(theirs)).max() < ONE_MM


@given(places, offsets)
def test_local_enu_agrees_with_pycolmap_to_a_millimetre(place, offset_enu_m):
    ecef_m = ecef_from_enu_at(place).points(offset_enu_m)
    theirs = ORACLE.ecef_to_enu(ecef_m[None], ORACLE.ellipsoid_to_ecef(place[None])[0])[0]
    assert np.abs(theirs - offset_enu_m).max() < ONE_MM


@given(places)
def test_geodetic_survives_the_round_trip(place):
    there_and_back = geodetic_from_ecef(ecef_from_geodetic(place))
    assert np.abs(ecef_from_geodetic(there_and_back) - ecef_from_geodetic(place)).max() < 1e-6


def test_the_poles_and_the_equator_have_finite_heights():
    places = np.array([[90.0, 0.0, 12.0], [-90.0, 77.0, -3.0], [0.0, 180.0, 5.0]])
    back = geodetic_from_ecef(ecef_from_geodetic(places))
    assert np.abs(back[:, [0, 2]] - places[:, [0, 2]]).max() < 1e-6


def test_a_known_point_has_its_textbook_coordinates():
    # Greenwich meridian at the equator lies one semi-major axis along x.
    assert np.allclose(ecef_from_geodetic(np.array([0.0, 0.0, 0.0])), [6378137.0, 0, 0])
    assert np.allclose(ecef_from_geodetic(np.array([90.0, 0.0, 0.0])), [0, 0, 6356752.314245], atol=1e-5)
