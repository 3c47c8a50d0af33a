"""What sections are written from: the runs, with one name and one look for each model throughout."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

from spectrobe.errors import SpectrobeError
from spectrobe.figures.style import Look, looks
from spectrobe.perturbations.registry import attacks_a_model
from spectrobe.report.blocks import Text
from spectrobe.report.naming import ModelKey, ModelName, model_names
from spectrobe.report.photographs.reopen import Opener, namer
from spectrobe.report.runs import Run
from spectrobe.studies.paths import short_name
from spectrobe.studies.score_under import ScoreUnder, score_under
from spectrobe.studies.snr.result import SnrResult

_LONGEST_VALUE = 40  # letters of what runs differ in, to be written out

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True)
class Photographs:
    """What strips of photographs are made with.

    count: photographs a strip, 0 for none.   images: data as `open_data` takes it.   models: models as `open_model`
    takes them.   columns: class_map, image_column and label_column for `open_data`.
    """

    count: int = 3
    images: tuple[Any, ...] = ()
    models: tuple[Any, ...] = ()
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """The runs of one report. show_paths: paths of the user's machine are left in."""

    given: tuple[Run, ...]
    show_paths: bool = False
    photographs: Photographs = Photographs()

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs, their results under the models' names in this report."""
        return tuple(_renamed(run, self.names[_key(run)].shown) if run.model_name else run for run in self.given)

    @cached_property
    def names(self) -> dict[ModelKey, ModelName]:
        """What each model is called."""
        named = [run for run in self.given if run.model_name]
        written = {_key(run): str(run.about.get("written") or "") for run in named}
        return model_names(map(_key, named), self.show_paths, written)

    def of(self, *kinds: str) -> tuple[Run, ...]:
        """The runs of some studies that have something to show."""
        return tuple(run for run in self.runs if run.kind in kinds and run.result is not None)

    @cached_property
    def model_names(self) -> tuple[str, ...]:
        """Every model once, in the order of the runs."""
        return tuple(dict.fromkeys(name for run in self.runs if (name := run.model_name)))

    def look(self, model: str) -> Look:
        """The colour and marker of a model, here and in every figure."""
        return self._looks[model]

    @cached_property
    def _looks(self) -> dict[str, Look]:
        found = looks(name.full for name in self.names.values())
        return {name.shown: found[name.full] for name in self.names.values()}

    @cached_property
    def survivals(self) -> tuple[tuple[Run, ScoreUnder], ...]:
        """Each decomposition under each measured perturbation, where their bands are the same."""
        found: list[tuple[Run, ScoreUnder]] = []
        for run, own in self._decomposed:
            for snr in self.of("snr"):
                scores, _ = attempt(score_under, run.result, snr.result)
                for name, score in (scores or {}).items():
                    attacked = attacked_model(snr.result.results[name])
                    if attacked in ("", own):  # another model's attack says nothing of this one
                        found.append((run, replace(score, perturbation=score.perturbation + unfinished_mark(snr))))
        return tuple(found)

    @property
    def _decomposed(self) -> Iterator[tuple[Run, str]]:
        """Each decomposition, and the name that its model has outside this report."""
        for given, run in zip(self.given, self.runs, strict=True):
            if run.kind == "decompose" and run.result is not None:
                yield run, given.model_name

    @cached_property
    def snr_results(self) -> tuple[SnrResult, ...]:
        """Every measured perturbation; an attack on several models names the model, which tells them apart."""
        found = [(run, result) for run in self.of("snr") for result in run.result.results.values()]
        names = [result.perturbation for _, result in found]
        told = ((run, self._named(one) if names.count(one.perturbation) > 1 else one) for run, one in found)
        return tuple(_called(result, result.perturbation + unfinished_mark(run)) for run, result in told)

    def _named(self, result: SnrResult) -> SnrResult:
        model = attacked_model(result)
        if not model:
            return result
        shown = next((one.shown for (name, _), one in self.names.items() if name == model), short_name(model))
        return _called(result, f"{result.perturbation} on {shown}")

    @cached_property
    def opener(self) -> Opener:
        """Opens models and images again, each once."""
        return Opener(self.photographs.images, self.photographs.models, self.photographs.columns)

    def class_namer(self, run: Run) -> Callable[[int], str]:
        """What a class of the run is called: in words where its model and images could be opened again."""
        found, _ = attempt(lambda: self.opener.both(run)) if self.photographs.count else (None, "")
        return namer(run, *(found or (None, None)))

    def key(self, model: str) -> str:
        """What switches a model on and off in every chart."""
        return f"m{self.model_names.index(model)}"


def attacked_model(result: SnrResult) -> str:
    """Whose gradients made the perturbation; empty where it needs no model, or is a function of the user's own."""
    return result.settings.model_name if attacks_a_model(result.perturbation.partition(":")[0]) else ""


def model_label(run: Run) -> str:
    """The model, and how far the run has come where it is not finished."""
    return run.model_name + unfinished_mark(run)


def unfinished_mark(run: Run) -> str:
    """What stands behind the name of whatever has numbers of a run that is not finished; else nothing."""
    return f" (unfinished: {run.progress})" if run.progress else ""


def so_far(run: Run) -> str:
    """What stands before a sentence about a run that is not finished; else nothing."""
    return f"So far, with {run.progress} done: " if run.progress else ""


def apart(
    groups: Sequence[Sequence[T]], key: Callable[[T], Sequence[object]], names: Sequence[str], so: str = ""
) -> list[object]:
    """A note on why some runs have charts of their own; nothing where all share theirs.

    groups: those that share charts.   key: what they share, in the order of its names.   so: what follows from it.
    """
    if len(groups) < 2:
        return []
    differing = []
    for name, kind in zip(names, zip(*(key(some[0]) for some in groups), strict=True), strict=True):
        values = list(dict.fromkeys(map(str, kind)))
        if len(values) > 1:
            plain = all(len(value) <= _LONGEST_VALUE for value in values)
            differing.append(f"{name} ({', '.join(values)})" if plain else name)
    told = f"These runs cannot share charts: they differ in {' and in '.join(differing)}."
    return [Text((f"{told} {so or 'Each has charts of its own.'}",), "note")]


def grouped(things: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Things with the same key together, in order of appearance."""
    groups: dict[Hashable, list[T]] = {}
    for thing in things:
        groups.setdefault(key(thing), []).append(thing)
    return list(groups.values())


def told_apart(runs: Sequence[Run], settings: Sequence[str]) -> list[str]:
    """A label for each run: its model, and where a model comes twice the settings in which the runs differ.

    Where runs are on different images, every label says on which.
    """
    names = [model_label(run) for run in runs]
    if "data_name" in settings and len({run.result.data_name for run in runs}) > 1:
        names = [f"{name}, {run.result.data_name}" for name, run in zip(names, runs, strict=True)]
        settings = [name for name in settings if name != "data_name"]
    if len(set(names)) == len(names):
        return names
    differing = [name for name in settings if len({str(getattr(run.result, name)) for run in runs}) > 1]
    labels = [", ".join([name, *(str(getattr(run.result, what)) for what in differing)])
              for name, run in zip(names, runs, strict=True)]  # fmt: skip
    seen: list[str] = []
    for label in labels:
        seen.append(f"{label} ({labels[: len(seen)].count(label) + 1})" if label in labels[: len(seen)] else label)
    return seen


def attempt(make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T | None, str]:
    """What `make` returns of these, or why it cannot be had: a report says so and goes on."""
    try:
        return make(*args, **kwargs), ""
    except SpectrobeError as error:
        return None, str(error)


def _key(run: Run) -> ModelKey:
    return run.model_name, run.weights


def _called(result: SnrResult, name: str) -> SnrResult:
    """The result with another name for its perturbation."""
    if name == result.perturbation:
        return result
    return replace(result, settings=replace(result.settings, perturbation=name))


def _renamed(run: Run, name: str) -> Run:
    """The run with its result under another model name."""
    if name == run.model_name:
        return run
    if not hasattr(run.result, "settings"):
        return replace(run, result=replace(run.result, model_name=name))
    settings = replace(run.result.settings, model_name=name)
    return replace(run, result=replace(run.result, settings=settings))
