"""Adversarial attacks, noise of the same norm as their control, and independent checks of both.

All take images in [0, 1] and a model that normalises for itself. Names end in the norm; `register_attacks` puts them in
the table that `spectrobe.perturbation` reads.
"""

from __future__ import annotations

from functools import partial

from spectrobe.perturbations.attacks.apgd import APGD
from spectrobe.perturbations.attacks.band import BandPGD, outside_bands
from spectrobe.perturbations.attacks.base import Attack, AttackRecord, BoundedAttack
from spectrobe.perturbations.attacks.checks import AttackCheck, check_attack
from spectrobe.perturbations.attacks.gradient import FGSM, PGD
from spectrobe.perturbations.attacks.minimum_norm import DDN, FMN, CarliniWagner, DeepFool, MinimumNorm
from spectrobe.perturbations.attacks.noise import NormNoise
from spectrobe.perturbations.attacks.sanity import sanity
from spectrobe.perturbations.attacks.square import Square
from spectrobe.perturbations.registry import Builder, register

ATTACKS: dict[str, Builder] = {
    **{f"fgsm_{norm}": partial(FGSM, norm) for norm in ("linf", "l2")},
    **{f"pgd_{norm}": partial(PGD, norm) for norm in ("linf", "l2")},
    **{f"apgd_{loss}_{norm}": partial(APGD, loss, norm) for loss in ("ce", "dlr") for norm in ("linf", "l2")},
    **{f"square_{norm}": partial(Square, norm) for norm in ("linf", "l2")},
    **{f"deepfool_{norm}": partial(DeepFool, norm) for norm in ("linf", "l2")},
    "cw_l2": CarliniWagner,
    "ddn_l2": DDN,
    "fmn_linf": FMN,
    **{f"band_pgd_{norm}": partial(BandPGD, norm) for norm in ("linf", "l2")},
}
CONTROLS: dict[str, Builder] = {f"noise_{norm}": partial(NormNoise, norm) for norm in ("linf", "l2")}

__all__ = [
    "APGD",
    "ATTACKS",
    "CONTROLS",
    "DDN",
    "FGSM",
    "FMN",
    "PGD",
    "Attack",
    "AttackCheck",
    "AttackRecord",
    "BandPGD",
    "BoundedAttack",
    "CarliniWagner",
    "DeepFool",
    "MinimumNorm",
    "NormNoise",
    "Square",
    "check_attack",
    "outside_bands",
    "register_attacks",
    "sanity",
]

SUMMARIES = {
    "fgsm": "one signed or normalised gradient step",
    "pgd": "projected gradient ascent on the cross-entropy",
    "apgd_ce": "Auto-PGD on the cross-entropy",
    "apgd_dlr": "Auto-PGD on the difference of logits ratio; 4 classes or more",
    "square": "Square attack: black-box, for models without gradients",
    "deepfool": "DeepFool: minimum norm, no eps (foolbox)",
    "cw": "Carlini-Wagner: minimum norm, no eps (foolbox)",
    "ddn": "decoupled direction and norm: minimum norm, no eps (foolbox)",
    "fmn": "fast minimum norm, no eps (foolbox)",
    "band_pgd": "PGD within chosen frequency bands: keep=0-2;bands=8",
    "noise": "random noise of the same norm: the control of attacks",
}


def register_attacks() -> None:
    """Put all attacks and their controls into the table of perturbations."""
    for name, builder in (ATTACKS | CONTROLS).items():
        family, _, norm = name.rpartition("_")
        summary = f"{SUMMARIES[family]}, {norm.capitalize()}"
        kind = "noise" if name in CONTROLS else "attack"
        register(name, builder, kind=kind, summary=summary, needs_model=name in ATTACKS)


register_attacks()
