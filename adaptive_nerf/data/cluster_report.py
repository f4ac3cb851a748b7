"""What came of create_clusters, as one plain dict for tables and JSON."""

from typing import Any

from adaptive_nerf.data.clusters import Report
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.geometry.frames import FrameName


def report_facts(scene: Scene, report: Report) -> dict[str, Any]:
    partition, scale = report.partition, scene.frame.metres_per_unit
    return {
        "partition": str(partition.folder),
        "done": "nothing to do: it was there already, made from the same" if report.was_there else "made",
        "photos": {"made now": report.photos_made, "kept": report.photos_kept},
        "whole_box_m": {name: round(side * scale, 1) for name, side in zip(
            ("high", "east-west", "north-south"), _down_east_south(partition.global_box), strict=True)},
        "boundary_margin": partition.boundary_margin,
        "experts": [_expert(scene, report, expert) for expert in range(partition.n_experts)],
        "warnings": list(partition.warnings),
    }


def _expert(scene: Scene, report: Report, expert: int) -> dict[str, Any]:
    partition = report.partition
    to_enu = scene.frame.convert(FrameName.SCENE, FrameName.ENU)
    east_m, north_m, _ = to_enu.points(partition.centroids[expert])
    _, wide, deep = _down_east_south(partition.boxes[expert])
    scale = scene.frame.metres_per_unit
    facts = {"expert": expert, "centroid_east_m": round(float(east_m), 1), "centroid_north_m": round(float(north_m), 1),
             "box_east_m": round(wide * scale, 1), "box_north_m": round(deep * scale, 1),
             "samples_millions": round(int(partition.counts[expert]) / 1e6, 1)}
    if report.expert_pixel_pct is not None:
        facts["pixels_pct"] = round(report.expert_pixel_pct[expert], 1)
    return facts


def _down_east_south(box: Box) -> tuple[float, float, float]:
    down, east, south = (float(side) for side in box.high - box.low)
    return down, east, south
