"""All families of the world by name."""

from __future__ import annotations

from vlreward.world.families import charts, geometry, lines, shapes
from vlreward.world.scenes import Family

FAMILIES: dict[str, Family] = {
    "single shapes": shapes.single_shapes,
    "counting": shapes.counting,
    "colours": shapes.colours,
    "positions": shapes.positions,
    "objects": shapes.objects,
    "several pictures": shapes.several_pictures,
    "overlapping circles": lines.overlapping_circles,
    "crossing lines": lines.crossing_lines,
    "grids": lines.grids,
    "circled letters": lines.circled_letters,
    "bar charts": charts.bar_charts,
    "line charts": charts.line_charts,
    "pie charts": charts.pie_charts,
    "tables": charts.tables,
    "sectors": geometry.sectors,
    "triangle angles": geometry.triangle_angles,
    "right triangles": geometry.right_triangles,
}
