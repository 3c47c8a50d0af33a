"""One network, carried through every adapter: the logits are the same to 1e-4."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn

from spectrobe.models import Model, check_model, open_model
from tests.models.conftest import MODELS

CPU = torch.device("cpu")
TOLERANCE = 1e-4


@pytest.fixture
def photos() -> torch.Tensor:
    """(9, 3, 32, 32): smooth random images and two that leave [0, 1], as coalition images may."""
    noise = torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = nn.functional.interpolate(noise, size=32, mode="bilinear")
    images[-2:] = images[-2:] * 2 - 0.5
    return images


def through_module(tmp_path, net) -> Model:
    return open_model(net)


def through_callable(tmp_path, net) -> Model:
    return open_model(lambda x: net.eval()(x).detach().numpy())


def through_onnx(tmp_path, net) -> Model:
    pytest.importorskip("onnxruntime")
    return open_model(f"onnx:{MODELS}/cifar-resnet8.onnx")


def through_export(tmp_path, net) -> Model:
    program = torch.export.export(
        net, (torch.rand(2, 3, 32, 32),), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=512)},)
    )
    torch.export.save(program, tmp_path / "net.pt2")
    return open_model(f"export:{tmp_path}/net.pt2")


def through_python(tmp_path, net) -> Model:
    weights = MODELS / "cifar-resnet8.safetensors"
    return open_model(f"python:{MODELS}/cifar_resnet8.py:CifarResNet8?checkpoint={weights}&num_classes=10")


def through_hugging_face(tmp_path, net) -> Model:
    transformers = pytest.importorskip("transformers")
    from transformers.modeling_outputs import ImageClassifierOutput

    class Config(transformers.PretrainedConfig):
        model_type = "spectrobe-test-cifar-resnet8"

    class Wrapped(transformers.PreTrainedModel):
        config_class = Config
        main_input_name = "pixel_values"

        def __init__(self, config):
            super().__init__(config)
            self.net = type(net)()
            self.post_init()

        def _init_weights(self, module):
            pass

        def forward(self, pixel_values, **kwargs):
            return ImageClassifierOutput(logits=self.net(pixel_values))

    transformers.AutoConfig.register(Config.model_type, Config, exist_ok=True)
    transformers.AutoModelForImageClassification.register(Config, Wrapped, exist_ok=True)
    wrapped = Wrapped(Config(num_labels=10))
    wrapped.net.load_state_dict(net.state_dict())
    wrapped.save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}, do_normalize=False).save_pretrained(tmp_path)
    return open_model(f"hf:{tmp_path}")


def through_timm(tmp_path, net) -> Model:
    timm = pytest.importorskip("timm")
    from timm.models import _registry as registry

    class Registered(type(net)):
        num_classes = 10

    def spectrobe_test_resnet8(pretrained=False, pretrained_cfg=None, pretrained_cfg_overlay=None, **kwargs):
        made = Registered()
        made.pretrained_cfg = {
            "input_size": (3, 32, 32),
            "crop_pct": 1.0,
            "crop_mode": "center",
            "interpolation": "bilinear",
            "mean": (0.0,) * 3,
            "std": (1.0,) * 3,
        }
        return made

    registry._model_entrypoints["spectrobe_test_resnet8"] = spectrobe_test_resnet8
    try:
        assert timm.is_model("spectrobe_test_resnet8")
        return open_model(f"timm:spectrobe_test_resnet8?checkpoint={MODELS}/cifar-resnet8.safetensors")
    finally:
        del registry._model_entrypoints["spectrobe_test_resnet8"]


WAYS = [
    through_module,
    through_callable,
    through_onnx,
    through_export,
    through_python,
    through_hugging_face,
    through_timm,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_logits_are_the_same(way, tmp_path, resnet8, photos):
    with torch.no_grad():
        wanted = resnet8(photos)
    model = way(tmp_path, resnet8)
    assert model.mean is None
    assert model.geometry.size in (None, (32, 32))
    with torch.no_grad(), model.prepared(CPU) as forward:
        logits = torch.cat([forward(photos[:4]), forward(photos[4:])])
    assert wanted.abs().max() > 1
    torch.testing.assert_close(logits, wanted, atol=TOLERANCE, rtol=0)
    assert model.n_classes == 10
    assert check_model(model, photos[:7]) == []


def test_normalisation_outside_the_network_is_the_same_too(resnet8, photos):
    """The network's own constants taken out and given to the adapter instead."""
    with torch.no_grad():
        wanted = resnet8(photos)
    mean, std = resnet8.mu.flatten().tolist(), resnet8.sd.flatten().tolist()
    resnet8.mu.zero_()
    resnet8.sd.fill_(1)
    model = open_model(resnet8, mean=mean, std=std)
    torch.testing.assert_close(model.forward(photos), wanted, atol=TOLERANCE, rtol=0)


def test_self_check_on_photographs(resnet8):
    """Real images: no word about a sound model; the question when labels are out of order or pixels are off."""
    pq, image = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("PIL.Image")
    path = MODELS.parent / "data" / "cifar10" / "test.parquet"
    if not path.is_file():
        pytest.skip("needs ../shared/data/cifar10")
    rows = pq.ParquetFile(path).read_row_group(0).slice(0, 100).to_pylist()
    arrays = [np.asarray(image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows]
    pixels = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 255
    labels = torch.tensor([row["label"] for row in rows])
    assert check_model(open_model(resnet8), pixels, labels) == []
    (warning,) = check_model(open_model(resnet8), pixels, (labels + 1) % 10)
    assert "normalisation or label order?" in warning
    (warning,) = check_model(open_model(resnet8, mean=0.9, std=0.02), pixels, labels)
    assert "normalisation or label order?" in warning
