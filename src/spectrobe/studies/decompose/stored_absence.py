"""The absence of a run: measured once, kept in the run folder with the fingerprints of the images it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from torch import Tensor

from spectrobe.engine.absence import Absence, Surroundings
from spectrobe.engine.sources import Sources
from spectrobe.engine.store import MEND, RunFolder
from spectrobe.errors import RunFolderError

FILE = "absence.safetensors"
_MADE_FROM = "sources"


def stored_absence(
    kind: type[Absence], surroundings: Surroundings, folder: RunFolder | None
) -> tuple[Absence, dict[str, str]]:
    """The absence that a begun run keeps in `folder`, else a new one; and what a kept one was made from.

    What it was made from: image id -> fingerprint.
    """
    if folder is None or not folder.exists(FILE):
        return kind(kind.measure(surroundings), surroundings), {}
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = folder.read_bytes(FILE)
    try:
        return kind(load(content), surroundings), _made_from(content)
    except (SafetensorError, ValueError) as error:
        raise RunFolderError(f"{folder.path}: {FILE} is damaged ({error}): {MEND}") from None


def absence_file(absence: Absence, sources: Sources) -> bytes:
    """The state as a safetensors file, with the fingerprints of the images that it was measured on."""
    from safetensors.torch import save

    made_from = sources.of(absence.measured_on(), {})
    tensors = {name: tensor.contiguous() for name, tensor in absence.state.items()}
    content: bytes = save(tensors, {_MADE_FROM: json.dumps(made_from)})
    return content


def state_digests(state: Mapping[str, Tensor]) -> dict[str, str]:
    """SHA-256 of each tensor, for the identity of a run."""
    return {
        name: hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
        for name, tensor in sorted(state.items())
    }


def _made_from(content: bytes) -> dict[str, str]:
    """The metadata of a safetensors file: JSON behind its length."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found: dict[str, str] = json.loads(header.get("__metadata__", {}).get(_MADE_FROM, "{}"))
    return found
