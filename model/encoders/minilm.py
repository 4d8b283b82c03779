"""all-MiniLM-L6-v2: a sentence to 384 numbers.

A definition of our own, because transformers takes a process nine seconds to load, and this less
than half of one (`python -m benchmarks.starting`); the tests compare it with its `BertModel`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from model.encoders.base import Module
from model.encoders.packaged import MINILM, checked

WIDTH = 384
_TOKENS, _LONGEST = 30522, 512
_LAYERS, _HEADS, _INNER = 6, 12, 1536
_EPS = 1e-12
_LAYER = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}
"""Our name of a part of a layer -> the file's."""


class Sentences(Module):
    """MiniLM: token ids (B, L), -1 where there is none, to the mean over tokens (B, 384).

    Source: BERT (Devlin et al. 2019), six layers; sentence-transformers/all-MiniLM-L6-v2.
    """

    width = WIDTH

    def __init__(self) -> None:
        super().__init__()
        from safetensors.torch import load_file

        self.words = nn.Embedding(_TOKENS, WIDTH)
        self.places = nn.Embedding(_LONGEST, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, _EPS)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                WIDTH, _HEADS, _INNER, activation="gelu", layer_norm_eps=_EPS, batch_first=True
            )
            for _ in range(_LAYERS)
        )
        stored = load_file(checked(MINILM) / "model" / "model.safetensors")
        self.load_state_dict(_renamed(stored))

    def forward(self, ids: Tensor) -> Tensor:
        """Return (B, 384)."""
        there = ids >= 0
        x = self.words(ids.clamp(min=0)) + self.places.weight[: ids.shape[1]]
        x = self.norm(x)
        hidden = ~there
        hidden[:, 0] = False  # a text of no token, which would attend to nothing
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=hidden)
        weight = there[..., None].to(x.dtype)
        return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def _renamed(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the file's layers by our names.

    The kind of token, of which a sentence has but one, goes with the place.
    """
    before = "embeddings."
    kind = stored[f"{before}token_type_embeddings.weight"][0]
    found = {
        "words.weight": stored[f"{before}word_embeddings.weight"],
        "places.weight": stored[f"{before}position_embeddings.weight"] + kind,
    }
    for end in ("weight", "bias"):
        found[f"norm.{end}"] = stored[f"{before}LayerNorm.{end}"]
        for layer in range(_LAYERS):
            theirs, ours = f"encoder.layer.{layer}.", f"layers.{layer}."
            parts = [stored[f"{theirs}attention.self.{p}.{end}"] for p in ("query", "key", "value")]
            found[f"{ours}self_attn.in_proj_{end}"] = torch.cat(parts)
            for name, theirs_name in _LAYER.items():
                found[f"{ours}{name}.{end}"] = stored[f"{theirs}{theirs_name}.{end}"]
    return found


@lru_cache(maxsize=1)
def tokenizer(length: int) -> Any:
    """Return MiniLM's tokenizer, which cuts after `length` tokens; safe in many threads."""
    from tokenizers import Tokenizer

    found = Tokenizer.from_file(str(checked(MINILM) / "model" / "tokenizer.json"))
    found.no_padding()
    found.enable_truncation(length)
    return found
