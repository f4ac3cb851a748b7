"""The library's functions, and the structs that they take: mirrors of those in kernels/, checked when it is loaded."""

import contextlib
import ctypes
from ctypes import c_double, c_float, c_int32, c_int64, c_uint64, c_void_p

from adaptive_nerf.engine.cpu.build import VARIABLE, Unavailable, library_path
from adaptive_nerf.engine.locks import ForkedLock

MOST_LAYERS = 9


def _struct(name: str, fields: str) -> type[ctypes.Structure]:
    """`p` pointer, `i` int64, `f` float, `d` double, `u` uint64, `w` int32; a number repeats it: 'i3 axes'."""
    kinds = {"p": c_void_p, "i": c_int64, "f": c_float, "d": c_double, "u": c_uint64, "w": c_int32}
    listed: list[tuple[str, type]] = []
    for group in fields.split(";"):
        kind, *names = group.split()
        each = kinds[kind[0]] * int(kind[1:]) if kind[1:] else kinds[kind[0]]
        listed += [(each_name, each) for each_name in names]
    return type(name, (ctypes.Structure,), {"_fields_": listed})


class Shape(ctypes.Structure):
    _fields_ = (("layers", c_int64), ("width", c_int64 * (MOST_LAYERS + 1)))


Piece = _struct("Piece", "i slot begin end")
Level = _struct("Level", "i offset size; w resolution hashed; f scale; w unused")
EncodeArgs = _struct("EncodeArgs", "i next; p local; i local_stride; p pieces; i n_pieces; p levels; "
                     "i n_levels n_features rows; p tables features; i features_stride half; p gradient; "
                     "i gradient_stride; p local_gradient; i local_gradient_stride")
Pending = _struct("Pending", "p local; i local_stride; p features; i features_stride half; p pieces; i n_pieces")
TableArgs = _struct("TableArgs", "i next; p pending; i n_pending; p levels; i n_levels n_features rows n_slots line; "
                    "p total; i fresh; p touched scratch scratch_touched; i n_scratch largest n_workers lazy; "
                    "p values first second rates; f beta1 beta2 epsilon spread longest")


class FieldArgs(ctypes.Structure):
    _fields_ = (
        ("next", c_int64), ("n", c_int64), ("pieces", c_void_p), ("n_pieces", c_int64), ("trunk", Shape),
        ("head", Shape), ("trunk_weights", c_void_p), ("head_weights", c_void_p), ("head_slots", c_int64),
        ("density_bias", c_float), ("unused", c_float), ("half", c_int64), ("half_features", c_int64),
        ("features", c_void_p), ("n_levels", c_int64),
        ("n_features", c_int64), ("features_stride", c_int64), ("place", c_void_p), ("place_stride", c_int64),
        ("directions", c_void_p), ("directions_width", c_int64), ("rays", c_void_p), ("out", c_void_p),
        ("gradient", c_void_p), ("features_gradient", c_void_p), ("features_gradient_stride", c_int64),
        ("place_gradient", c_void_p), ("directions_gradient", c_void_p), ("trunk_gradient", c_void_p),
        ("head_gradient", c_void_p))


CompositeArgs = _struct("CompositeArgs", "i next n_rays width; p offsets order t delta values; f stop full_from; "
                        "p image depth median distortion weights relative image_gradient depth_gradient "
                        "distortion_gradient values_gradient")
SurfaceArgs = _struct("SurfaceArgs", "i next n_rays n_slots; p offsets order slots t weights median; d window; "
                      "p distance leading")
Region = _struct("Region", "d3 low high centroid; d side; i3 blocks; i first_word; i3 halls; i first_hall")
MarchArgs = _struct("MarchArgs", "i next n_rays; p origins directions; d near far step; u key; i stratified most; "
                    "p regions; i n_regions; d6 bounds; d margin; i3 axes; i inverse; p words; d cell cells_a_unit; "
                    "p first counts found; i room used; p found_at offsets dropped following; i capacity; "
                    "p local slots rays t delta order halls")
ObserveArgs = _struct("ObserveArgs", "i next n; p local; i local_stride; p slots relative regions; i n_regions; "
                      "d cell; f least unused; p maxima")
RebuildArgs = _struct("RebuildArgs", "i next; p regions; i n_regions; f decay; w least; p maxima found words floor")
AdamArgs = _struct("AdamArgs", "i next n; p values first second gradient; f rate beta1 beta2 epsilon correction1 "
                   "correction2")
MIRRORS = (Piece, Level, EncodeArgs, Pending, TableArgs, FieldArgs, CompositeArgs, Region, MarchArgs, AdamArgs,
           SurfaceArgs, ObserveArgs, RebuildArgs)
WORKERS = ("encode", "encode_places_gradient", "update_tables", "field_forward", "field_backward", "composite",
           "composite_backward", "march_look_ahead", "march_count", "march_fill", "adam_dense",
           "surfaces", "observe", "fade", "grow")
_loading = ForkedLock()
_loaded: list[ctypes.CDLL] = []  # at most one


def library() -> ctypes.CDLL:
    """Compiled if need be; raises Unavailable where that cannot be done."""
    if not _loaded:
        with _loading:
            if not _loaded:
                _loaded.append(_load())
    return _loaded[0]


def groups_of_numbers(count: int) -> int:
    """The items of what goes number by number."""
    return -(-count // library().numbers_together())


def groups_of_rays(n_rays: int) -> int:
    """The items of what goes ray by ray."""
    return -(-n_rays // library().rays_together())


def _opened() -> ctypes.CDLL:
    """A damaged file is built again, once."""
    path = library_path()
    with contextlib.suppress(OSError):
        return ctypes.CDLL(str(path))
    try:
        path.unlink()
        path = library_path()
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise Unavailable(f"{path} cannot be loaded ({error}); name a folder from which programs may run: "
                          f"{VARIABLE}") from error


def _load() -> ctypes.CDLL:
    found = _opened()
    for name in WORKERS:
        function = getattr(found, name)
        function.argtypes, function.restype = [c_void_p], None
    found.march_lay_out.argtypes, found.march_lay_out.restype = [c_void_p], c_int64
    found.cut_pieces.argtypes = [c_void_p, c_int64, c_int64, c_int64, c_void_p, c_int64]
    found.cut_pieces.restype = c_int64
    found.sum_gradients.argtypes = [c_void_p, c_int64, c_void_p, c_int64, c_void_p, c_int64]
    found.spherical_harmonics.argtypes = [c_void_p, c_int64, c_void_p, c_int64]
    found.sum_gradients.restype = found.spherical_harmonics.restype = None
    for name in ("has_halves", "rays_together", "numbers_together"):
        function = getattr(found, name)
        function.argtypes, function.restype = [], c_int64
    found.size_of_arguments.argtypes, found.size_of_arguments.restype = [c_int64], c_int64
    for index, mirror in enumerate(MIRRORS):
        if found.size_of_arguments(index) != ctypes.sizeof(mirror):
            raise Unavailable(f"{mirror.__name__} of the library is not that of library.py; please report this")
    return found
