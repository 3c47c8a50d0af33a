"""Names that other people's packages add, as entry points: each is loaded when it is asked for, and no other."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from spectrobe.errors import InputError

T = TypeVar("T")


def plugin_names(group: str) -> tuple[str, ...]:
    """The names that installed packages add to a group, in order; no package is imported for it."""
    return tuple(dict.fromkeys(point.name for point in entry_points(group=group)))


def load_plugin(group: str, name: str, what: str) -> object | None:
    """What the package that adds `name` to a group has registered; None where no package does.

    `what` is what the name is of, in messages ("value"). Raises InputError naming the package: it cannot be imported,
    or several packages add the name.
    """
    points = tuple(entry_points(group=group, name=name))
    if not points:
        return None
    if len({point.value for point in points}) > 1:
        raise InputError(f"the {what} {name!r} is offered more than once ({owners(points)}): uninstall one of them")
    try:
        loaded: object = points[0].load()
    except Exception as error:  # someone else's package: whatever it raises, say whose it is
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"the {what} {name!r} ({points[0].value}) of the package {owners(points)} could not be imported: "
            f"{reason:.300}"
        ) from error
    return loaded


def load_subclass(group: str, name: str, what: str, base: type[T]) -> type[T] | None:
    """As `load_plugin`, for what must be a subclass of `base`; InputError where it is none."""
    found = load_plugin(group, name, what)
    if found is None or (isinstance(found, type) and issubclass(found, base)):
        return found
    raise InputError(f"expected the {what} {name!r} to be a subclass of {base.__name__}, got {found!r:.80}")


def owners(points: tuple[EntryPoint, ...]) -> str:
    """The packages that entry points belong to."""
    return ", ".join(str(point.dist.name) if point.dist else point.value for point in points)


def check_name(name: object, what: str) -> str:
    """`name` where it is a text, else InputError: a name may come from anywhere."""
    if not isinstance(name, str):
        raise InputError(f"expected the name of {what}, a text, got {name!r:.80}")
    return name
