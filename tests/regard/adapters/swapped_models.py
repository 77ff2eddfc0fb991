"""Blocks as other libraries write them, and small models of many kinds, with an example of each."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.regard.lively import SIZES, built, lively, seq2seq

transformers = pytest.importorskip("transformers")
W, HEADS, N = 32, 4, 21
X = torch.randn(2, N, W, generator=torch.Generator().manual_seed(0))


class TimmAttention(nn.Module):
    """timm's `Attention`, with `fused_attn`."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.head_dim = HEADS, W // HEADS
        self.qkv, self.proj = nn.Linear(W, 3 * W), nn.Linear(W, W)
        self.attn_drop = nn.Dropout(0.0)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        B, L, C = x.shape
        qkv = self.qkv(x).reshape(B, L, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = F.scaled_dot_product_attention(
            q, k, v, attn_mask=attn_mask, dropout_p=self.attn_drop.p if self.training else 0.0
        )
        return self.proj(x.transpose(1, 2).reshape(B, L, C))  # type: ignore[no-any-return]


class TimmBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(W), TimmAttention(), nn.LayerNorm(W)
        self.mlp = nn.Sequential(nn.Linear(W, 2 * W), nn.GELU(), nn.Linear(2 * W, W))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class TimmVit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, W, 4, 4)
        self.blocks = nn.Sequential(TimmBlock(), TimmBlock())
        self.head = nn.Linear(W, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.patch_embed(x).flatten(2).transpose(1, 2))
        return self.head(x.mean(1))  # type: ignore[no-any-return]


class DiffusersAttention(nn.Module):
    """diffusers' `Attention` with its `AttnProcessor2_0`: self attention without encoder states, cross attention with them."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = HEADS
        self.to_q, self.to_k, self.to_v = (nn.Linear(W, W, bias=False) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(W, W), nn.Dropout(0.0)])

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None) -> Tensor:
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for x in (self.to_q(hidden_states), self.to_k(source), self.to_v(source))
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False)
        for part in self.to_out:
            out = part(out.transpose(1, 2).flatten(2) if out.ndim == 4 else out)
        return out


class DiffusersBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(W), nn.LayerNorm(W)
        self.attn1, self.attn2 = DiffusersAttention(), DiffusersAttention()

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        hidden_states = hidden_states + self.attn1(self.norm1(hidden_states))
        out: Tensor = hidden_states + self.attn2(self.norm2(hidden_states), encoder_hidden_states)
        return out


class NanoGpt(nn.Module):
    """nanoGPT's `CausalSelfAttention`, and a residual stream around two of them."""

    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(60, W)
        self.h = nn.ModuleList([CausalSelfAttention(), CausalSelfAttention()])
        self.lm_head = nn.Linear(W, 60)

    def forward(self, idx: Tensor) -> Tensor:
        x = self.wte(idx)
        for block in self.h:
            x = x + block(x)
        return self.lm_head(x)  # type: ignore[no-any-return]


class CausalSelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(W, 3 * W), nn.Linear(W, W)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.c_attn(x).split(W, 2))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=True)
        return self.c_proj(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class PreNorm(nn.Module):
    """torchvision's encoder block: nn.MultiheadAttention on normed tokens; and one that calls with two tensors."""

    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.norm, self.self_attention, self.twice = (
            nn.LayerNorm(W),
            nn.MultiheadAttention(W, HEADS, batch_first=True),
            twice,
        )

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        y = self.norm(x)
        z = self.norm(x) if self.twice else y
        out: Tensor = x + self.self_attention(y, z, z, need_weights=False, key_padding_mask=key_padding_mask)[0]
        return out


class Perceiver(nn.Module):
    """Learned queries: there is no target that could have a future."""

    def __init__(self) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(6, W))
        self.attn, self.out = nn.MultiheadAttention(W, HEADS, batch_first=True), nn.Linear(W, W)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.attn(self.latents.expand(len(x), -1, -1), x, x, need_weights=False)[0])  # type: ignore[no-any-return]


def decoder() -> nn.Module:
    return nn.TransformerDecoder(nn.TransformerDecoderLayer(W, HEADS, 48, dropout=0.0, batch_first=True), 2)


def encoder(**options: Any) -> nn.Module:
    layer = nn.TransformerEncoderLayer(W, HEADS, 48, dropout=0.0, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=not options.get("norm_first", False))


IMAGE = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))
IDS = torch.randint(3, 60, (2, N), generator=torch.Generator().manual_seed(2))
DROP = torch.zeros(2, N, dtype=torch.bool)
DROP[1, 13:] = True
CAUSAL = nn.Transformer.generate_square_subsequent_mask(N)
VISION = {**SIZES, "image_size": 24, "patch_size": 4}
TEXT = {**SIZES, "projection_dim": 32, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
WHISPER = seq2seq(num_mel_bins=8, max_source_positions=24, max_target_positions=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                  decoder_start_token_id=1)  # fmt: skip
GQA = {**SIZES, "num_key_value_heads": 2, "max_position_embeddings": 128}
PARTS = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4}
MOONSHINE = {"vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": 128}
MOONSHINE |= {f"{part}_{name}": size for part in ("encoder", "decoder") for name, size in PARTS.items()}
T5 = {
    "vocab_size": 60,
    "d_model": 32,
    "d_kv": 8,
    "num_layers": 2,
    "num_heads": 4,
    "d_ff": 48,
    "decoder_start_token_id": 0,
}

# name: how it is made, its example, names of the attentions that smyrf may take
MODELS: dict[str, tuple[Any, Any, Any]] = {
    "timm ViT": (TimmVit, IMAGE, "blocks.*.attn"),
    "diffusers block": (DiffusersBlock, {"hidden_states": X, "encoder_hidden_states": X.flip(1)[:, :9]}, None),
    "nanoGPT": (NanoGpt, IDS, None),
    "torchvision block": (lambda: PreNorm(False), X, None),
    "two normed tensors": (lambda: PreNorm(True), {"x": X, "key_padding_mask": DROP}, None),
    "nn.TransformerEncoder": (encoder, {"src": X, "src_key_padding_mask": DROP}, None),
    "nn.TransformerDecoder": (decoder, {"tgt": X, "memory": X.flip(1)[:, :9], "tgt_mask": CAUSAL, "tgt_is_causal": True}, "*self_attn"),
    "Perceiver": (Perceiver, X, None),
    "Moonshine": (lambda: built("Moonshine", **MOONSHINE), None, ["encoder.*", "decoder*self_attn"]),
    "BERT": (lambda: built("Bert", **SIZES), None, None),
    "ModernBERT": (lambda: built("ModernBert", **SIZES, global_attn_every_n_layers=2, local_attention=8, pad_token_id=0,
                                 bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2), None, "layers.0.attn"),
    "GPT-2": (lambda: built("GPT2", vocab_size=60, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2), None, None),
    "Mistral": (lambda: built("Mistral", **GQA, sliding_window=None), None, None),
    "Gemma 2": (lambda: built("Gemma2", **GQA, head_dim=8, sliding_window=8, attn_logit_softcapping=None), None, "layers.1.self_attn"),
    "CLIP": (lambda: built("CLIP", text_config=TEXT, vision_config=VISION, projection_dim=32), None, None),
    "Whisper": (lambda: built("Whisper", **WHISPER), None, ["encoder.*", "*decoder*self_attn"]),
    "T5": (lambda: built("T5", **T5), None, None),
    "Falcon": (lambda: built("Falcon", vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=False), None, None),
    "SAM vision": (lambda: lively(transformers.SamVisionModel(transformers.SamVisionConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, image_size=32, patch_size=8, output_channels=16, window_size=2,
        global_attn_indexes=[0], num_pos_feats=8, mlp_dim=48))), None, None),
}  # fmt: skip
