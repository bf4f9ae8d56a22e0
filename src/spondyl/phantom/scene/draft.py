"""A scene under construction: parts and strokes are added to it, bone by bone."""

from __future__ import annotations

from collections.abc import Iterable

from spondyl.anatomy.codes import Subregion
from spondyl.anatomy.level import Level
from spondyl.phantom.scene.material import Material, Tissue
from spondyl.phantom.scene.scene import Backdrop, Part, Scene, Stroke
from spondyl.phantom.scene.solids import Solid, Tube
from spondyl.phantom.scene.tissue_table import get_material

__all__ = ["Draft"]

_CORTEX_MM = 0.8
"""The thickness of compact bone in mm; vertebral shells are 0.3 to 0.6 mm (Ritzel 1997), and look thicker in scans."""


class Draft:
    """A scene under construction: its parts, and its strokes in the order of painting.

    Args:
        backdrop: surroundings, painted first.
    """

    def __init__(self, backdrop: Backdrop) -> None:
        self._backdrop = backdrop
        self._parts = {part: index for index, part in enumerate(backdrop.parts)}
        self._count = len(backdrop.parts)
        self._strokes: list[Stroke] = []

    def add_part(
        self, made_of: Material | Tissue, subregion: Subregion | None = None, level: Level | None = None
    ) -> int:
        """Return the index of a part, which is added if it is new."""
        material = made_of if isinstance(made_of, Material) else get_material(made_of)
        part = Part(material=material, subregion=subregion, level=level)
        if part not in self._parts:
            self._parts[part] = self._count
            self._count += 1
        return self._parts[part]

    def paint(self, solids: Iterable[Solid], part: int, *, over: tuple[int, ...] = ()) -> None:
        """Paint solids as one part, everywhere or only over some parts."""
        self._strokes += [Stroke(solid=solid, part=part, over=over) for solid in solids]

    def paint_shelled(self, solids: Iterable[Solid], shell: int, core: int, *, shell_mm: float = _CORTEX_MM) -> None:
        """Paint solids that have a thin shell of another part."""
        self._strokes += [Stroke(solid=solid, part=shell, core=core, shell_mm=shell_mm) for solid in solids]

    def paint_bone(
        self, solids: Iterable[Solid], marrow: Material, subregion: Subregion, level: Level | None
    ) -> tuple[int, int]:
        """Paint bone, compact outside and marrow inside, and return the parts of both."""
        shell, core = (self.add_part(layer, subregion, level) for layer in (Tissue.CORTICAL_BONE, marrow))
        self.paint_shelled(solids, shell, core)
        return shell, core

    def paint_fused_bone(self, pieces: Iterable[tuple[Subregion, Tube]], marrow: Material, level: Level) -> None:
        """Paint the pieces of one bone: compact outside, without walls where they overlap."""
        pieces, compact = list(pieces), get_material(Tissue.CORTICAL_BONE)
        for subregion, piece in pieces:
            self.paint([piece], self.add_part(compact, subregion, level))
        for subregion, piece in pieces:
            self.paint([piece.shrink(_CORTEX_MM)], self.add_part(marrow, subregion, level))

    def join_marrow(self, bone: tuple[int, int], pieces: Iterable[Tube]) -> None:
        """Open the shell of a painted bone where it meets other pieces, so that the marrow is continuous."""
        shell, core = bone
        self.paint([piece.shrink(_CORTEX_MM) for piece in pieces], core, over=(shell,))

    def to_scene(self) -> Scene:
        """Return the scene with everything painted so far."""
        backdrop = self._backdrop.parts
        added = [part for part, index in self._parts.items() if index >= len(backdrop)]
        return Scene(parts=(*backdrop, *added), backdrop=self._backdrop, strokes=tuple(self._strokes))
