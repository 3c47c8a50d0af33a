"""Can the attacks of an SNR run be believed? What their rows say, and a few more passes on a few images: warnings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from spectrobe.engine.batching import is_out_of_memory
from spectrobe.engine.local import ImageLoader
from spectrobe.engine.progress import Progress
from spectrobe.perturbations.attacks import Attack, BoundedAttack, MinimumNorm, NormNoise, sanity
from spectrobe.perturbations.attacks.checks import ROUNDING, check_control, check_outside, predictions
from spectrobe.perturbations.attacks.norms import written_eps
from spectrobe.studies.snr.measure import Measurer
from spectrobe.studies.snr.rows import SnrRows

N_SANITY = 20


def check_attacks(
    measurer: Measurer, loader: ImageLoader, rows: Mapping[str, SnrRows], progress: Progress
) -> dict[str, list[str]]:
    """Warnings for each attack, by its name; rows: of the whole run.

    Norm, and for band-limited attacks the energy outside the bands, are taken from the rows. One attack of each family,
    the one that fools nearest to half of the images, is tried on up to 20 of them: at eps = 0, half the eps, with twice
    the steps, beside noise of the same norm, and for a gradient of zero; minimum-norm attacks beside noise alone.
    """
    attacks = {name: one for name, one in measurer.perturbations.items() if isinstance(one, Attack) and name in rows}
    measured = {name: rows[name].measured() for name in attacks}
    found = {name: _of_rows(name, one, measured[name], measurer.quantize) for name, one in attacks.items()}
    for name in _representatives(attacks, measured):
        few = measured[name].rows(np.arange(min(N_SANITY, measurer.batch_size, len(measured[name]))))
        progress.note(f"trying {name} on {len(few)} images: does it work?")
        loaded = loader.each(few.position.tolist())
        x = torch.stack([image for _, image in loaded if isinstance(image, Tensor)])
        try:
            found[name] += _tried(attacks[name], name, x, few, measured[name], measurer.seed)
        except Exception as error:  # the run itself is sound
            if is_out_of_memory(error):
                raise
            found[name].append(f"{name} could not be checked: {' '.join(str(error).split())}")
    return found


def _of_rows(name: str, attack: Attack, rows: SnrRows, quantize: int | None) -> list[str]:
    found = []
    if isinstance(attack, BoundedAttack) and quantize is None and len(rows):  # rounding may leave the ball
        far = getattr(rows, attack.norm)
        beyond = far > attack.eps * (1 + ROUNDING) + 1e-6
        if beyond.any():
            found.append(
                f"{name}: {int(beyond.sum())} of {len(rows)} images are beyond a {attack.norm} norm of "
                f"{written_eps(attack.eps)}, the furthest at {float(far.max()):.6g}"
            )
    return found + check_outside(rows.outside, name)


def _representatives(attacks: Mapping[str, Attack], rows: Mapping[str, SnrRows]) -> list[str]:
    """One attack a family: the one whose share of fooled images is nearest to half."""
    best: dict[str, tuple[float, str]] = {}
    for name, attack in attacks.items():
        if len(rows[name]) == 0 or getattr(attack, "eps", None) == 0:
            continue
        distance = abs(float(np.mean(rows[name].fooled)) - 0.5)
        if attack.name not in best or distance < best[attack.name][0]:
            best[attack.name] = (distance, name)
    return [name for _, name in best.values()]


def _tried(attack: Attack, name: str, x: Tensor, few: SnrRows, rows: SnrRows, seed: int) -> list[str]:
    if isinstance(attack, BoundedAttack):
        return list(sanity(attack, x, None, few.ids, seed))
    if not isinstance(attack, MinimumNorm):
        return []
    norms = getattr(rows, attack.norm)
    median = float(np.median(np.where(rows.fooled > 0, norms, np.inf)))
    if not 0 < median < np.inf:
        return []
    # noise of the norm at which the attack has fooled half of the images must fool fewer
    noise = NormNoise(attack.norm, eps=median)(x, None, few.ids, seed)
    held = ~((few.fooled > 0) & (getattr(few, attack.norm) <= median))
    right = (predictions(attack.model, noise) == predictions(attack.model, x)).numpy()
    return check_control(held, right, name)
