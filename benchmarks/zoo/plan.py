"""The sixteen models of the zoo: which network is trained by which recipe from which seed, and for how long."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from benchmarks.zoo.recipes import RECIPES, Recipe

EPOCHS = 30


@dataclass(frozen=True)
class Entry:
    """One model. epochs: over the training images, when a residual network takes EPOCHS."""

    name: str
    architecture: str
    recipe: str
    seed: int = 0
    epochs: int = EPOCHS

    @property
    def rules(self) -> Recipe:
        """Its recipe."""
        return RECIPES[self.recipe]

    def epochs_of(self, usual: int | None) -> int:
        """Its epochs when a residual network takes `usual` (None: EPOCHS)."""
        return self.epochs if usual is None else max(1, round(usual * self.epochs / EPOCHS))

    def cost(self, attack_steps: int) -> float:
        """Training passes, in epochs of the residual network, about."""
        return (
            self.epochs
            * (1 + attack_steps * (self.rules.eps > 0))
            * {"resnet": 1.0, "cnn": 0.6, "vit": 1.4}[self.architecture]
        )

    def facts(self) -> dict[str, object]:
        """What the manifest says of it before it is trained."""
        return asdict(self) | {"group": self.rules.group, "about": self.rules.about}


ZOO: tuple[Entry, ...] = (
    *(
        Entry(f"resnet-{recipe}", "resnet", recipe, epochs=2 * EPOCHS if recipe == "at-8" else EPOCHS)
        for recipe in RECIPES
    ),
    Entry("resnet-standard-seed1", "resnet", "standard", seed=1),
    Entry("cnn-standard", "cnn", "standard"),
    Entry("cnn-at-4", "cnn", "at-4"),
    Entry("vit-standard", "vit", "standard", epochs=2 * EPOCHS),
)
"""Twelve recipes of one network, a second seed of one recipe, and two more architectures.

Twice as long: what learns slowly, the transformer and adversarial training at the largest radius."""


def chosen(names: list[str] | None) -> list[Entry]:
    """The entries of these names, all without; SystemExit for an unknown one."""
    known = {entry.name: entry for entry in ZOO}
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise SystemExit(f"unknown model(s) {', '.join(unknown)}; the zoo has {', '.join(known)}")
    return [known[name] for name in names or known]
