"""The flags of prepare_dataset.py, and the settings that they make."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import get_args

from adaptive_nerf.common.cores import usable_cores
from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.data.frame_choice import EnuRef, FrameSettings, Geodetic, ScaleStrategy
from adaptive_nerf.data.prepare import PrepareSettings
from adaptive_nerf.data.undistort import DEFAULT_JPEG_QUALITY


def add_prepare_options(command: ArgumentParser) -> None:
    command.add_argument("--data_path", type=Path, required=True, help="holds model/ and images/")
    command.add_argument("--output_path", type=Path, required=True, help="the scene to write")
    command.add_argument("--val_split", type=float, default=0.2, metavar="SHARE",
                         help="share of the photos, evenly over the name order, kept for validation (0 to 1)")
    command.add_argument("--scale_strategy", choices=get_args(ScaleStrategy), default="camera_max",
                         help="what one scene unit is: the greatest camera distance from the middle, its 0.99 "
                              "quantile, or half the diagonal of the cameras' box")
    add_frame_options(command)
    add_photo_options(command)


def add_frame_options(command: ArgumentParser) -> None:
    group = command.add_argument_group("where the scene lies")
    group.add_argument("--ecef_to_enu", action="store_true", help="the model is in ECEF metres (aligned to GPS)")
    group.add_argument("--enu_ref", choices=get_args(EnuRef), default="median",
                       help="the point where East, North and Up start: of the cameras, or the one given below")
    group.add_argument("--enu_ref_lat", type=float, metavar="DEG", help="with --enu_ref custom: latitude, degrees")
    group.add_argument("--enu_ref_lon", type=float, metavar="DEG", help="longitude, degrees")
    group.add_argument("--enu_ref_alt", type=float, metavar="M", help="height above the ellipsoid, metres")
    group.add_argument("--metres_per_unit", type=float, default=1.0, metavar="M",
                       help="without --ecef_to_enu: metres in one unit of the model")
    group.add_argument("--points_low_alt_percentile", type=float, default=0.01, metavar="SHARE",
                       help="the ground is the height that this share of the points lies below (0 to 1)")
    group.add_argument("--maximum_allowed_height", type=float, default=200.0, metavar="M",
                       help="the ground is never taken to be deeper than this below the lowest camera, metres")


def add_photo_options(command: ArgumentParser) -> None:
    """Shared by the commands that bring photos into a scene."""
    group = command.add_argument_group("photos and work")
    group.add_argument("--skip_missing", action="store_true", help="go on without photos that are not there")
    group.add_argument("--jpeg_quality", type=int, choices=range(50, 101), default=DEFAULT_JPEG_QUALITY,
                       metavar="50..100", help="of photos that have to be undistorted")
    group.add_argument("--jobs", type=_thread_count, default=usable_cores(), metavar="N",
                       help="threads; the result is the same for any number")
    group.add_argument("--force", action="store_true", help="replace an existing output, and all that was made in it")
    group.add_argument("--json", action="store_true", help="print the report as one JSON object")


def _thread_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number of threads; give 1 or more")
    return int(text)


def prepare_settings(options: Namespace) -> PrepareSettings:
    frame = FrameSettings(options.ecef_to_enu, options.enu_ref, _custom_reference(options), options.scale_strategy,
                          options.metres_per_unit, options.points_low_alt_percentile, options.maximum_allowed_height)
    return PrepareSettings(options.data_path, options.output_path, options.val_split, frame, options.jpeg_quality,
                           options.skip_missing, options.force, options.jobs)


def _custom_reference(options: Namespace) -> Geodetic | None:
    given = (options.enu_ref_lat, options.enu_ref_lon, options.enu_ref_alt)
    if options.enu_ref != "custom":
        if any(number is not None for number in given):
            raise BadUsage("--enu_ref_lat, --enu_ref_lon and --enu_ref_alt need --enu_ref custom")
        return None
    if any(number is None for number in given):
        raise BadUsage("--enu_ref custom needs --enu_ref_lat, --enu_ref_lon and --enu_ref_alt")
    if not options.ecef_to_enu:
        raise BadUsage("--enu_ref custom needs --ecef_to_enu: a local model has no place on the Earth")
    return given
