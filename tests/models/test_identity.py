"""Identity: the same weights hash the same wherever they lie; anything that changes results changes it."""

from __future__ import annotations

import hashlib
import json

import torch

from spectrobe.models import open_model
from spectrobe.models.identity import files_sha256, versions, weights_sha256
from tests.models.conftest import SmallNet


def test_hash_depends_on_weights_alone(images):
    net = SmallNet()
    first = weights_sha256(net)
    assert first == weights_sha256(SmallNet().to(memory_format=torch.channels_last))
    model = open_model(net)
    with model.prepared(torch.device("cpu")):
        assert model.identity()["weights_sha256"] == first
    with torch.no_grad():
        net.head.bias[0] = torch.nextafter(net.head.bias[0], torch.tensor(9.0))
    assert weights_sha256(net) != first
    assert weights_sha256(SmallNet().double()) != first
    assert weights_sha256(SmallNet().bfloat16()) not in (first, weights_sha256(SmallNet().half()))


def test_known_hash():
    net = torch.nn.Module()
    net.register_buffer("b", torch.tensor([1, 2], dtype=torch.uint8))
    net.register_buffer("a", torch.tensor(3, dtype=torch.uint8))
    said = b"a torch.uint8 ()\n\x03b torch.uint8 (2,)\n\x01\x02"
    assert weights_sha256(net) == hashlib.sha256(said).hexdigest()


def test_files_hash(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    assert files_sha256([tmp_path / "a", tmp_path / "b"]) == hashlib.sha256(b"onetwo").hexdigest()


def test_versions():
    assert versions("torch", "no-such-library-at-all") == {"torch": torch.__version__.split("+")[0]} or (
        set(versions("torch", "no-such-library-at-all")) == {"torch"}
    )


def test_identity_is_json_and_names_what_matters(images):
    model = open_model(SmallNet(), mean=0.5, std=(0.1, 0.2, 0.3), size=16, crop=0.5)
    model.forward(images)
    said = json.loads(json.dumps(model.identity()))
    assert said == {
        "name": "SmallNet",
        "adapter": "ModuleModel",
        "weights_sha256": weights_sha256(SmallNet()),
        "class": "tests.models.conftest.SmallNet",
        "n_classes": 5,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.1, 0.2, 0.3],
        "geometry": {
            "size": [16, 16],
            "resize": 32,
            "interpolation": "bicubic",
            "antialias": True,
            "channels": 3,
        },
        "notes": [],
        "versions": said["versions"],
    }
