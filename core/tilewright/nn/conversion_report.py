"""What a conversion did with each module that holds parameters."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ConvertedModule:
    """A module that became analog."""

    path: str
    was: str
    became: str
    tiles: int
    clipped: float  # share of the weights that the devices could not hold as they were


@dataclass(frozen=True)
class DigitalModule:
    """A module with parameters of its own that stayed digital."""

    path: str
    kind: str
    parameters: int
    reason: str


@dataclass
class ConversionReport:
    """Converted modules and those that stayed digital, in the order of the tree. Prints as a list."""

    converted: list[ConvertedModule] = field(default_factory=list)
    digital: list[DigitalModule] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{len(self.converted)} modules on {sum(m.tiles for m in self.converted)} tiles"]
        for module in self.converted:
            clipped = f", {100 * module.clipped:.3g} % of the weights clipped" if module.clipped else ""
            tiles = f"{module.tiles} tile{'s' if module.tiles != 1 else ''}"
            lines.append(f"  {module.path or 'the model'}: {module.was} -> {module.became}, {tiles}{clipped}")
        lines.append(f"{len(self.digital)} modules with parameters stay digital")
        lines += [f"  {module.path or 'the model'}: {module.kind}, {module.reason}" for module in self.digital]
        return "\n".join(lines)
