"""What a decomposition measured: all that its numbers depend on, besides the payoff table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from spectrobe.bands import BandPartition
from spectrobe.game.coalitions import AUTO, Design, make_design


@dataclass(frozen=True)
class Settings:
    """What was measured: all that a decomposition's numbers depend on, besides the payoff table."""

    model_name: str
    data_name: str
    bands: BandPartition
    image_size: tuple[int, int]
    value: str
    absence: str
    design: str
    confidence: float
    seed: int
    labelled: bool = True
    force: bool = False
    clip: bool = False

    @property
    def open(self) -> bool:
        """Whether the design is still to be chosen."""
        return self.design == AUTO

    def make_design(self) -> Design:
        """The design of the game."""
        return make_design(self.design, self.bands.n_bands, self.seed, self.force)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"bands": self.bands.to_dict(), "image_size": list(self.image_size)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Settings:
        """The settings that `to_dict` described."""
        bands = BandPartition.from_dict(content["bands"])
        return cls(**{**content, "bands": bands, "image_size": tuple(content["image_size"])})
