"""Zero-shot classification with CLIP and SigLIP through transformers: `clip:NAME?class_names=FILE`.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, arXiv 2103.00020: the logit of a
class is the scaled cosine of the image's embedding and the mean embedding of the class's prompts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spectrobe.errors import InputError
from spectrobe.models.base import Model
from spectrobe.models.huggingface import (
    fetched,
    hub_or_folder,
    hub_preprocessing,
    quiet_transformers,
    require_transformers,
)
from spectrobe.models.module import ModuleModel
from spectrobe.models.options import ModelOptions
from spectrobe.models.registry import Scheme

DEFAULT_PROMPTS = ("a photo of a {}.",)


class ZeroShotClassifier(nn.Module):
    """Images (N, 3, H, W) -> logits (N, K) against fixed class embeddings; the text half of the model is dropped."""

    text: Tensor

    def __init__(self, model: Any, text: Tensor) -> None:
        super().__init__()
        model.text_model = None
        self.model = model
        self.register_buffer("text", text)

    def forward(self, images: Tensor) -> Tensor:
        features = nn.functional.normalize(_pooled(self.model.get_image_features(pixel_values=images)), dim=-1)
        logits: Tensor = self.model.logit_scale.exp() * features @ self.text.T
        bias = getattr(self.model, "logit_bias", None)
        return logits if bias is None else logits + bias


def _open(target: str, options: ModelOptions) -> Model:
    name = f"clip:{target}"
    require_transformers(name)
    if not options.class_names:
        raise InputError(
            f"{name}: expected class names, which zero-shot models need: class_names=[...] or ?class_names=FILE"
        )
    prompts = options.prompts or DEFAULT_PROMPTS
    if not all("{}" in prompt for prompt in prompts):
        raise InputError(f"{name}: expected prompts with {{}} where the class name goes, got {prompts[0]!r}")
    with quiet_transformers():
        return _opened(name, hub_or_folder(target), prompts, options)


def _opened(name: str, source: str, prompts: tuple[str, ...], options: ModelOptions) -> Model:
    from transformers import AutoModel, AutoTokenizer

    preprocessing = hub_preprocessing(name, source, options)
    model = fetched(
        name, "weights", lambda: AutoModel.from_pretrained(source, dtype=torch.float32, trust_remote_code=False)
    )
    tokenizer = fetched(name, "tokenizer", lambda: AutoTokenizer.from_pretrained(source, trust_remote_code=False))
    if not hasattr(model, "get_text_features") or not hasattr(model, "logit_scale"):
        raise InputError(f"{name}: expected a CLIP or SigLIP model, got {type(model).__name__}")
    text = _class_embeddings(model.eval(), tokenizer, options.class_names, prompts)
    module = ZeroShotClassifier(model, text).to(options.device or "cpu")
    notes = tuple(f"prompt {prompt!r}" for prompt in prompts)
    classes = options.num_classes or len(options.class_names)
    return ModuleModel(module, name, preprocessing, classes, options.class_names, notes, ("torch", "transformers"))


@torch.no_grad()
def _class_embeddings(model: Any, tokenizer: Any, class_names: tuple[str, ...], prompts: tuple[str, ...]) -> Tensor:
    """(K, D): for each class the mean of its prompts' unit embeddings, again of unit length."""
    limit = getattr(model.config.text_config, "max_position_embeddings", None)
    rows = []
    for class_name in class_names:
        texts = [prompt.replace("{}", class_name) for prompt in prompts]
        # SigLIP was trained on texts filled up to full length; to CLIP, which looks at the end token, it is the same.
        tokens = tokenizer(texts, padding="max_length", truncation=True, max_length=limit, return_tensors="pt")
        masked = {key: tokens[key] for key in ("input_ids", "attention_mask") if key in tokens}
        rows.append(nn.functional.normalize(_pooled(model.get_text_features(**masked)), dim=-1).mean(0))
    return nn.functional.normalize(torch.stack(rows), dim=-1)


def _pooled(features: Any) -> Tensor:
    """The embedding itself: transformers 5 returns an object around it, transformers 4 the tensor."""
    pooled: Tensor = features if isinstance(features, Tensor) else features.pooler_output
    return pooled


SCHEME = Scheme(_open, options=("prompts",), example="clip:openai/clip-vit-base-patch32?class_names=classes.txt")
