"""A trained model on disk: weights as float16, an entry of the manifest with what they reach as they are stored."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from benchmarks.zoo.fast import stopping
from benchmarks.zoo.plan import ZOO, Entry
from spectrobe.models.zoo_networks import NETWORKS
from spectrobe.perturbations import perturbation

STRENGTHS = (2, 4, 8)
ATTACKED = 1000
"""Test images that a stored model is attacked on: enough to say within 3 points whether training worked."""
MOST_BYTES, MOST_BYTES_IN_ALL = 10**6, 12 * 10**6


def keep(
    entry: Entry, net: nn.Module, told: dict[str, Any], images: Tensor, labels: Tensor, out: Path, work: Path
) -> dict[str, Any]:
    """Store the weights, measure them as they are stored, and write the entry, which it returns."""
    state = {key: _half(value).cpu().contiguous() for key, value in net.state_dict().items()}
    content = save(state)
    if len(content) > MOST_BYTES:
        raise SystemExit(f"{entry.name} takes {len(content):,} bytes, more than {MOST_BYTES:,}")
    stored = NETWORKS[entry.architecture]()
    stored.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load(content).items()})
    measured = evaluate(stored.eval().to(images.device), images, labels)
    file = f"{entry.name}.safetensors"
    facts = {
        **entry.facts(),
        **told,
        "parameters": sum(p.numel() for p in stored.parameters()),
        **measured,
        "device": torch.cuda.get_device_name() if images.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    write(out / file, content)
    write(work / f"{entry.name}.json", json.dumps(facts, indent=1).encode())
    return facts


@torch.no_grad()
def evaluate(net: nn.Module, images: Tensor, labels: Tensor, batch: int = 250) -> dict[str, Any]:
    """Accuracy on clean images, and under PGD-20 in Linf on the first 1,000 of them.

    images: uint8 (N, 3, 32, 32) on the network's device.
    """
    made = {f"pgd20_{k}": perturbation("pgd_linf", eps=k / 255, steps=20, model=net) for k in STRENGTHS}
    attacks = {name: stopping(attack) for name, attack in made.items()}
    right, attacked = dict.fromkeys(("accuracy", *attacks), 0), min(ATTACKED, len(images))
    for start in range(0, len(images), batch):
        x, y = images[start : start + batch].float() / 255, labels[start : start + batch]
        right["accuracy"] += int((net(x).argmax(1) == y).sum())
        x, y = x[: max(0, attacked - start)], y[: max(0, attacked - start)]
        ids = [str(i) for i in range(start, start + len(x))]
        for name, attack in attacks.items() if len(x) else ():
            right[name] += int((net(attack(x, y, ids, 0)).argmax(1) == y).sum())
    of = dict.fromkeys(attacks, attacked) | {"accuracy": len(images)}
    shares = {name: round(count / of[name], 4) for name, count in right.items()}
    return {"test_images": len(images), "attacked_images": attacked} | shares


def assemble(out: Path, work: Path) -> dict[str, Any]:
    """Write manifest.json of all models whose entries are there, in the order of the plan; the models."""
    found = {}
    for entry in ZOO:
        path = work / f"{entry.name}.json"
        if path.exists() and (out / f"{entry.name}.safetensors").exists():
            found[entry.name] = json.loads(path.read_text())
    size = sum((out / entry["file"]).stat().st_size for entry in found.values())
    if size > MOST_BYTES_IN_ALL:
        raise SystemExit(f"the zoo takes {size:,} bytes, more than {MOST_BYTES_IN_ALL:,}")
    about = (
        "CIFAR-10 classifiers; accuracies of the weights as stored, on test images; pgd20_K: under PGD-20, Linf K/255"
    )
    write(out / "manifest.json", (json.dumps({"about": about, "models": found}, indent=1) + "\n").encode())
    return found


def pack(out: Path, work: Path, target: Path) -> None:
    """One file of everything made so far, checkpoints too, to carry home (or back)."""
    with tarfile.open(target, "w") as archive:
        for path in sorted([*out.glob("*.safetensors"), *out.glob("manifest.json")]):
            archive.add(path, f"zoo/{path.name}")
        for path in sorted([*work.glob("*.json"), *work.glob("*.checkpoint")]):
            if path.suffix == ".json" or not (work / f"{path.stem}.json").exists():
                archive.add(path, f"work/{path.name}")


def unpack(source: Path, out: Path, work: Path) -> None:
    """What `pack` put together, back in its places."""
    with tarfile.open(source) as archive:
        for member in archive.getmembers():
            folder, _, name = member.name.partition("/")
            content = archive.extractfile(member)
            if folder not in ("zoo", "work") or "/" in name or content is None:
                raise SystemExit(f"{source} is no packed zoo: it holds {member.name}")
            write((out if folder == "zoo" else work) / name, content.read())


def write(path: Path, content: bytes) -> None:
    """A file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    aside.write_bytes(content)
    os.replace(aside, path)


def _half(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor
