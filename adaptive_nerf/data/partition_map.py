"""The map of a partition: whose ground is whose, seen from above, with cameras and boxes. East right, North up, m."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from adaptive_nerf.data.expert_colours import expert_colours, striped
from adaptive_nerf.data.ground_mosaic import ground_mosaic
from adaptive_nerf.data.partition import Partition
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.types import AnyArray, Array, BoolArray

CELLS = 900  # along the longer side of the map
TINT = 0.5  # how strongly experts colour the ground
STRIPE_CELLS = 7
MOST_IN_LEGEND = 48
DPI = 130
HALO = withStroke(linewidth=3, foreground="white")


@dataclass(frozen=True)
class Extent:
    """The part of the ground that a map shows, metres."""

    west: float
    east: float
    south: float
    north: float

    @property
    def edges(self) -> tuple[float, float, float, float]:
        return self.west, self.east, self.south, self.north

    def ticks(self) -> tuple[Array, Array]:
        """East and North of the cells' centres, from the south-west."""
        size = max(self.east - self.west, self.north - self.south) / CELLS
        return (np.arange(self.west + size / 2, self.east, size), np.arange(self.south + size / 2, self.north, size))


def partition_map(scene: Scene, partition: Partition) -> bytes:
    """A PNG."""
    figure = Figure(figsize=(12.5, 9.2), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.07, 0.075, 0.62, 0.82))
    extent = _shown(scene, partition)
    _draw_ground(axes, scene, partition, extent)
    _draw_boxes(axes, scene, partition)
    _draw_cameras(axes, scene, extent)
    _draw_centroids(axes, scene, partition)
    _draw_scale_and_north(axes, extent)
    pad_m = 0.012 * (extent.east - extent.west)
    axes.set(xlim=(extent.west - pad_m, extent.east + pad_m), ylim=(extent.south - pad_m, extent.north + pad_m),
             xlabel="East, m", ylabel="North, m", aspect="equal")
    axes.set_anchor("W")
    figure.text(0.07, 0.955, partition.name, fontsize=17, fontweight="bold")
    figure.text(0.07, 0.922, _facts(scene, partition), fontsize=10.5, color="#444444")
    _draw_legends(figure, partition)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _shown(scene: Scene, partition: Partition) -> Extent:
    """The global box, and all cameras."""
    whole = _extent_of(scene, partition.global_box)
    places = np.stack([photo.c2w_scene[:, 3] for photo in scene.photos])
    flown = _extent_of(scene, Box(places.min(axis=0), places.max(axis=0)))
    return Extent(min(whole.west, flown.west), max(whole.east, flown.east),
                  min(whole.south, flown.south), max(whole.north, flown.north))


def _extent_of(scene: Scene, box: Box) -> Extent:
    to_enu = scene.frame.convert(FrameName.SCENE, FrameName.ENU)
    corners = to_enu.points(np.stack([box.low, box.high]))  # scene Z is South
    (west, east), (south, north) = (sorted(corners[:, axis].tolist()) for axis in (0, 1))
    return Extent(west, east, south, north)


def _draw_ground(axes: Axes, scene: Scene, partition: Partition, extent: Extent) -> None:
    east_m, north_m = extent.ticks()
    ground_up_m = scene.frame.altitude_range_enu_m[0]
    photo_grey = ground_mosaic(scene, east_m, north_m, ground_up_m)
    grey = np.where(np.isnan(photo_grey), 0.93, 0.3 + 0.7 * photo_grey)[..., None]
    claims, nearest = _claims(scene, partition, east_m, north_m, ground_up_m)
    colours, _ = striped(claims, STRIPE_CELLS)
    picture = grey * (1 - TINT) + TINT * colours / 255
    axes.imshow(np.clip(picture, 0, 1), origin="lower", extent=extent.edges, interpolation="antialiased", zorder=0)
    if partition.n_experts > 1:
        borders = np.arange(partition.n_experts - 1) + 0.5
        axes.contour(east_m, north_m, nearest, borders, colors="white", linewidths=1.6, zorder=1)


def _claims(scene: Scene, partition: Partition, east_m: Array, north_m: Array,
            up_m: float) -> tuple[BoolArray, AnyArray]:
    """Which experts take the ground at each cell [K, h, w], and the nearest of them [h, w]."""
    grid_enu = np.stack([*np.meshgrid(east_m, north_m), np.full((len(north_m), len(east_m)), up_m)], axis=-1)
    points = scene.frame.convert(FrameName.ENU, FrameName.SCENE).points(grid_enu)
    used = slice(1, 3) if partition.cluster_2d else slice(0, 3)
    distance = np.stack([np.linalg.norm((points - centroid)[..., used], axis=-1) for centroid in partition.centroids])
    return distance <= partition.boundary_margin * distance.min(axis=0), distance.argmin(axis=0)


def _draw_boxes(axes: Axes, scene: Scene, partition: Partition) -> None:
    """Outlines drawn a line's width inside one another, so that shared sides stay visible."""
    colours = expert_colours(partition.n_experts) / 255
    whole = _extent_of(scene, partition.global_box)
    line_m = (whole.east - whole.west) / 300
    for expert, box in enumerate(partition.boxes):
        extent, inset = _extent_of(scene, box), (expert % 4) * line_m
        for colour, width in (("white", 3.0), (colours[expert] * 0.8, 1.8)):
            axes.add_patch(Rectangle((extent.west + inset, extent.south + inset), extent.east - extent.west - 2 * inset,
                                     extent.north - extent.south - 2 * inset, fill=False, edgecolor=colour,
                                     linewidth=width, linestyle=(0, (6, 3)), zorder=2))


def _draw_cameras(axes: Axes, scene: Scene, extent: Extent) -> None:
    """A dot for each camera; a line towards where it looks, longer the more oblique, none straight down."""
    to_enu = scene.frame.convert(FrameName.SCENE, FrameName.ENU)
    reach_m = 0.036 * (extent.east - extent.west)
    for split, style in CAMERA_STYLES.items():
        photos: tuple[Photo, ...] = scene.split(split)
        if not photos:
            continue
        poses = np.stack([to_enu.pose(photo.c2w_scene) for photo in photos])
        places, towards = poses[:, :2, 3], -poses[:, :2, 2] * reach_m
        axes.quiver(*places.T, *towards.T, angles="xy", scale_units="xy", scale=1, width=0.0013, headwidth=4.5,
                    headlength=4.5, minlength=0, color="black", zorder=4)
        axes.plot(*places.T, linestyle="none", zorder=5, **style)


CAMERA_STYLES = {
    "train": {"marker": "o", "markersize": 4.2, "markerfacecolor": "black", "markeredgecolor": "white",
              "markeredgewidth": 0.6},
    "val": {"marker": "D", "markersize": 4.6, "markerfacecolor": "white", "markeredgecolor": "black",
            "markeredgewidth": 0.9},
}


def _draw_centroids(axes: Axes, scene: Scene, partition: Partition) -> None:
    places = scene.frame.convert(FrameName.SCENE, FrameName.ENU).points(partition.centroids)
    for expert, (east, north, _) in enumerate(places):
        axes.annotate(str(expert), (east, north), ha="center", va="center", fontsize=15, fontweight="bold", zorder=6,
                      color="black", bbox={"boxstyle": "circle,pad=0.3", "facecolor": "white", "linewidth": 2.4,
                                           "edgecolor": expert_colours(partition.n_experts)[expert] / 255})


def _draw_scale_and_north(axes: Axes, extent: Extent) -> None:
    width = extent.east - extent.west
    length_m = _round_length(width / 5)
    left, bottom = extent.west + 0.04 * width, extent.south + 0.04 * width
    for colour, thickness in (("white", 7), ("black", 3.5)):
        axes.plot([left, left + length_m], [bottom, bottom], color=colour, linewidth=thickness, zorder=7,
                  solid_capstyle="butt")
    axes.text(left + length_m / 2, bottom + 0.012 * width, f"{length_m:g} m", ha="center", va="bottom", fontsize=11,
              path_effects=[HALO], zorder=7)
    axes.annotate("N", xy=(0.955, 0.975), xytext=(0.955, 0.895), xycoords="axes fraction", fontsize=14,
                  fontweight="bold", ha="center", va="center", path_effects=[HALO], zorder=7,
                  arrowprops={"arrowstyle": "-|>,head_width=0.45,head_length=0.8", "linewidth": 2.2,
                              "facecolor": "black", "path_effects": [HALO]})


def _round_length(metres: float) -> float:
    """The longest of 1, 2, 5, 10, ... that is not longer."""
    power = 10 ** np.floor(np.log10(metres))
    return float(power * max(step for step in (1, 2, 5) if step * power <= metres))


def _facts(scene: Scene, partition: Partition) -> str:
    size_m = (partition.global_box.high - partition.global_box.low) * scene.frame.metres_per_unit
    how = f"{partition.grid_dim[1]}×{partition.grid_dim[2]} grid" if partition.centroid_mode == "grid" else "k-means"
    distances = "on the map" if partition.cluster_2d else "in space (drawn for the ground)"
    return (f"{partition.n_experts} experts ({how}), margin {partition.boundary_margin:g}, distances {distances} · "
            f"{len(scene.split('train'))} train and {len(scene.split('val'))} val photos · "
            f"{size_m[1]:.0f} × {size_m[2]:.0f} m, {size_m[0]:.0f} m high")


def _draw_legends(figure: Figure, partition: Partition) -> None:
    """Experts above, signs below, beside the map."""
    style = {"frameon": False, "fontsize": 10.5, "labelspacing": 0.8, "alignment": "left",
             "handler_map": {tuple: HandlerTuple(ndivide=None, pad=0)}}
    experts = _expert_entries(partition)
    figure.legend([handle for handle, _ in experts], [label for _, label in experts], loc="upper left", **style,
                  bbox_to_anchor=(0.705, 0.905), title="experts, and their share of the samples", title_fontsize=10.5,
                  ncols=1 if len(experts) <= 18 else 3, columnspacing=1.2, handlelength=1.6)
    signs = _sign_entries(partition)
    figure.legend([handle for handle, _ in signs], [label for _, label in signs], loc="lower left", **style,
                  bbox_to_anchor=(0.705, 0.065), handlelength=2.2)


def _expert_entries(partition: Partition) -> list[tuple[object, str]]:
    share = partition.counts / max(1, partition.counts.sum()) * 100
    entries: list[tuple[object, str]] = [
        (Patch(facecolor=colour, edgecolor="none", alpha=0.8), f"{expert}: {share[expert]:.1f} %")
        for expert, colour in enumerate(expert_colours(partition.n_experts)[:MOST_IN_LEGEND] / 255)]
    if partition.n_experts > MOST_IN_LEGEND:
        entries.append((Patch(alpha=0), f"and {partition.n_experts - MOST_IN_LEGEND} more"))
    return entries


def _sign_entries(partition: Partition) -> list[tuple[object, str]]:
    entries: list[tuple[object, str]] = []
    if partition.n_experts > 1:
        colours = expert_colours(partition.n_experts) / 255
        pair = tuple(Patch(facecolor=colours[i % 2], edgecolor="none", alpha=0.8) for i in range(4))
        entries.append((pair, "stripes: ground that several share"))
    return [
        *entries,
        (Line2D([], [], color="#555555", linewidth=2, linestyle=(0, (4, 2))), "box of an expert (in its colour)"),
        (Line2D([], [], linestyle="none", **CAMERA_STYLES["train"]), "camera of a train photo"),
        (Line2D([], [], linestyle="none", **CAMERA_STYLES["val"]), "camera of a val photo"),
        (Line2D([], [], color="black", linewidth=1.2, marker=">", markevery=[1], markersize=5),
         "where it looks: longer is flatter,\nnone is straight down"),
    ]
