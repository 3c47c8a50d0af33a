"""The profile of a model in training, logged by Hugging Face's Trainer."""

from __future__ import annotations

import logging
from typing import Any

from transformers import TrainerCallback

from spectrobe.errors import InputError
from spectrobe.studies.watch.overlap import refuse_overlap
from spectrobe.studies.watch.probe import Probe
from spectrobe.studies.watch.reading import Reading

_logger = logging.getLogger(__name__)


class SpectralTrainerCallback(TrainerCallback):
    """Measures which frequency bands a Trainer's model relies on after every epoch, and logs it.

        trainer.add_callback(SpectralTrainerCallback(trainer, (images, labels), mean=..., std=...))

    Logged through `trainer.log`, and so to whatever `report_to` names and to `trainer.state.log_history`:
    `spectral/band_0` to `band_M-1`, `spectral/score`, `spectral/usable_information` and `spectral/accuracy`, each with
    `_stderr` beside it. `readings` holds (epoch, Reading).

    Training is not affected: with and without the callback the weights are the same, bit for bit. In a distributed
    run each process plays its share of the images.
    """

    def __init__(
        self,
        trainer: Any,
        data: Any,
        *,
        every_n_epochs: int = 1,
        prefix: str = "spectral",
        compare: int | None = None,
        **probe: Any,
    ) -> None:
        """trainer: the Trainer whose `log` is used, as Trainers do not hand it to their callbacks.

        data: held-out images in [0, 1] *before* normalisation with labels: a tensor pair, a Dataset, a data string.
        mean, std (in `probe`): the normalisation that an image processor applied to the `pixel_values` of training.
        All else is as in `SpectralCallback`, errors too.
        """
        if every_n_epochs < 1:
            raise InputError(f"expected every_n_epochs of at least 1, got {every_n_epochs!r}")
        if not callable(getattr(trainer, "log", None)):
            raise InputError(f"expected the Trainer first, got {type(trainer).__name__}: its log is what is logged to")
        self.trainer = trainer
        self.probe = Probe.of(data, **probe)
        self.every_n_epochs, self.prefix, self.compare = every_n_epochs, prefix, compare
        self.readings: list[tuple[float, Reading]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Refuse what cannot be measured before any training is spent."""
        game = self.probe.game
        warnings = self.probe.check(kwargs["model"])
        found = refuse_overlap(self.probe.images, kwargs["train_dataloader"], game.mean, game.std, self.compare)
        for warning in (*warnings, *found.warnings):
            _logger.warning("%s: %s", self.prefix, warning)
        _logger.info("%s", "; ".join((f"{self.prefix}: {self.probe.plan}", *found.told)))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure and log."""
        if round(state.epoch) % self.every_n_epochs != 0:
            return
        reading = self.probe.read(kwargs["model"], args.process_index, args.world_size)
        self.readings.append((float(state.epoch), reading))
        self.trainer.log(reading.to_log(self.prefix))
