"""What was once silently wrong in models of transformers, each with its right value: the model's own, or an error."""

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import regard
from regard.adapters import huggingface
from regard.adapters.proof import SwapError
from regard.registry import UnsupportedPattern
from tests.regard.adapters.small_transformers import IDS, LEFT, RIGHT, N, bert, close, llama, states
from tests.regard.lively import SIZES, built, lively, seq2seq

pytestmark = pytest.mark.usefixtures("registered")
transformers = pytest.importorskip("transformers")

WHISPER = seq2seq(num_mel_bins=8, max_source_positions=24, max_target_positions=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                  decoder_start_token_id=1)  # fmt: skip
CROSSING: dict[str, Any] = {
    "Bart": (seq2seq(), {}),
    "MBart": (seq2seq(), {}),
    "Marian": (seq2seq(pad_token_id=0, decoder_start_token_id=0), {}),
    "Whisper": (WHISPER, {"input_features": torch.randn(2, 8, 48, generator=torch.Generator().manual_seed(1))}),
    "NllbMoe": (seq2seq(num_experts=2, expert_capacity=64, encoder_sparse_step=0, decoder_sparse_step=0), {}),
}  # fmt: skip


def crossing(name: str) -> tuple[Any, dict[str, Any]]:
    options, given = CROSSING[name]
    return built(name, **options), given or {"input_ids": IDS}


@torch.no_grad()
def decoded(model: Any, ids: Tensor, given: dict[str, Any], **more: Any) -> Tensor:
    out: Tensor = model(**given, decoder_input_ids=ids, use_cache=False, **more).last_hidden_state
    return out


@pytest.mark.parametrize("name", sorted(CROSSING))
@pytest.mark.parametrize("mechanism", ["smyrf", "cosformer", "softmax", "performer"])
def test_cross_attention_does_not_show_a_decoder_its_future(name: str, mechanism: str) -> None:
    model, given = crossing(name)
    later = IDS.clone()
    later[:, 6:] = IDS[:, 6:] % 50 + 5
    model.set_attn_implementation(f"regard-{mechanism}")
    if mechanism in ("smyrf", "cosformer"):  # they treat all targets together
        with pytest.raises(UnsupportedPattern, match=r"'causal_cross'.*later ones would change earlier ones"):
            decoded(model, IDS, given)
        return
    before, after = decoded(model, IDS, given), decoded(model, later, given)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])
    if mechanism == "softmax":
        model.set_attn_implementation("eager")
        close(before, decoded(model, IDS, given), atol=1e-4)


MASK_ONLY: dict[str, Any] = {  # decoders whose causality stands in their mask alone
    "PegasusX": seq2seq(block_size=4, num_global_tokens=2, stagger_local_blocks=False),
    "NllbMoe": CROSSING["NllbMoe"][0],
    "BigBirdPegasus": seq2seq(attention_type="original_full"),
}
NOT_SAYING: dict[str, Any] = {  # encoders whose attention has no is_causal
    "Splinter": SIZES,
    "Align:AlignTextModel": SIZES,
    "Clap:ClapTextModel": SIZES,
    "LayoutLM": SIZES,
    "MarkupLM": {**SIZES, "max_depth": 4},
}


@pytest.mark.parametrize("name", sorted(MASK_ONLY))
def test_a_decoder_is_causal_where_only_its_mask_says_so(name: str) -> None:
    model = built(name, **MASK_ONLY[name])
    given = {"input_ids": IDS, "attention_mask": RIGHT}
    expected = decoded(model, IDS, given)
    later = IDS.clone()
    later[:, 6:] = IDS[:, 6:] % 50 + 5
    try:
        model.set_attn_implementation("regard-softmax")
        found, other = decoded(model, IDS, given), decoded(model, later, given)
    except ValueError as error:  # attention of its own beside transformers'
        assert "attention interface" in str(error) or "code of their own" in str(error)  # noqa: PT017
        return
    close(found, expected, atol=1e-4)
    assert torch.equal(found[:, :6], other[:, :6])


def text_config(name: str, options: dict[str, Any]) -> Any:
    kind, _, model = name.partition(":")
    if not model:
        return built(name, **options)
    config = getattr(transformers, f"{kind}TextConfig")(**options)
    torch.manual_seed(0)
    return lively(getattr(transformers, model)(config))


@pytest.mark.parametrize("name", sorted(NOT_SAYING))
@pytest.mark.parametrize("mask", [None, RIGHT])
def test_an_encoder_without_is_causal_is_bidirectional(name: str, mask: Tensor | None) -> None:
    model = text_config(name, NOT_SAYING[name])
    expected = states(model, mask=mask)
    rows = torch.ones_like(RIGHT).bool() if mask is None else mask.bool()
    model.set_attn_implementation("regard-softmax")
    close(states(model, mask=mask)[rows], expected[rows], atol=1e-4)
    huggingface.configure(model, mechanism="smyrf", layers=[1], cluster_size=N)
    close(states(model, mask=mask)[rows], expected[rows], atol=1e-4)


@pytest.mark.parametrize("padded", [False, True])
def test_paligemma_is_what_its_mask_says(padded: bool) -> None:
    text = {**SIZES, "model_type": "gemma", "num_key_value_heads": 2, "head_dim": 8}
    vision = {**SIZES, "model_type": "siglip_vision_model", "image_size": 16, "patch_size": 8, "projection_dim": 32}
    options = {"text_config": text, "vision_config": vision, "projection_dim": 32, "image_token_index": 59}
    model = built("PaliGemma:PaliGemmaForConditionalGeneration", **options)
    mask = RIGHT if padded else None
    rows = RIGHT.bool() if padded else torch.ones_like(RIGHT).bool()
    ids = IDS % 50 + 1
    model.set_attn_implementation("eager")  # without a mask, "sdpa" is bidirectional here, and the mask would be causal
    expected = states(model, ids, mask=mask)
    model.set_attn_implementation("regard-softmax")
    close(states(model, ids, mask=mask)[rows], expected[rows], atol=1e-4)


def test_a_module_that_says_causal_and_is_given_no_mask_is_asked_about() -> None:
    module = llama().model.layers[0].self_attn
    module.config._attn_implementation_internal = "regard-softmax"
    q, k = torch.randn(1, 4, 5, 8), torch.randn(1, 2, 5, 8)
    with pytest.raises(ValueError, match=r"says is_causal = True but was given no mask"):
        huggingface.attention(module, q, k, k, None)
    causal, _ = huggingface.attention(module, q, k, k, None, is_causal=True)
    free, _ = huggingface.attention(module, q, k, k, None, is_causal=False)
    assert not torch.allclose(causal, free)


OUTSIDE: dict[str, Any] = {
    "MPNet": SIZES, "Deberta": SIZES, "DebertaV2": SIZES, "RoFormer": SIZES, "Canine": {**SIZES, "num_hash_buckets": 64},
    "ConvBert": SIZES, "MegatronBert": SIZES, "SqueezeBert": {**SIZES, "embedding_size": 32}, "IBert": SIZES,
    "XLNet": {"vocab_size": 60, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48},
    "Bloom": {"vocab_size": 60, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "XGLM": {"vocab_size": 60, "d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 48},
    "GPTNeoXJapanese": SIZES,
    "LED": seq2seq(max_encoder_position_embeddings=64, max_decoder_position_embeddings=64, attention_window=4),
    "Mvp": seq2seq(), "ProphetNet": {"vocab_size": 60, "hidden_size": 32, "num_encoder_layers": 1, "num_decoder_layers": 1,
                                     "num_encoder_attention_heads": 4, "num_decoder_attention_heads": 4},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OUTSIDE))
@pytest.mark.parametrize("how", ["set", "load"])
def test_a_model_outside_the_interface_is_refused_and_stays_what_it_was(name: str, how: str, tmp_path: Path) -> None:
    """Not dense under SMYRF's name, and not without its mask."""
    model = built(name, **OUTSIDE[name])
    given: dict[str, Any] = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}
    if model.config.is_encoder_decoder:
        given["decoder_input_ids"] = IDS
    with torch.no_grad():
        expected = model(**given)[0]
    with pytest.raises(ValueError, match="attention interface"):  # noqa: PT012 - at once, or at the first call
        if how == "set":
            model.set_attn_implementation("regard-smyrf")
        else:
            model.save_pretrained(tmp_path)
            model = type(model).from_pretrained(tmp_path, attn_implementation="regard-smyrf").eval()
        with torch.no_grad():
            model(**given)
    if how == "set" and model.config._attn_implementation in ("sdpa", "eager"):
        with torch.no_grad():
            assert torch.equal(model(**given)[0], expected)


def test_an_encoder_that_ignores_the_setting_is_named() -> None:
    """SAM: only its mask decoder asks transformers for its attention."""
    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "image_size": 32, "patch_size": 8,
              "output_channels": 16, "window_size": 2, "global_attn_indexes": [0], "num_pos_feats": 8, "mlp_dim": 48}  # fmt: skip
    model = lively(transformers.SamVisionModel(transformers.SamVisionConfig(**vision)))
    with pytest.raises(ValueError, match=r"vision_encoder.layers.0.attn of SamVisionModel"):  # noqa: PT012
        model.set_attn_implementation("regard-smyrf")
        model(torch.randn(2, 3, 32, 32))


def test_observe_says_when_it_sees_nothing() -> None:
    model = transformers.MPNetModel(transformers.MPNetConfig(**SIZES)).eval()
    model.config._attn_implementation_internal = "regard-softmax"  # as the config says, and nothing is
    with (
        pytest.warns(UserWarning, match="MPNetModel ran, but no attention of Regard did"),
        regard.observe(model, print),
    ):
        model(IDS, attention_mask=torch.ones_like(IDS))
    fine = bert()
    fine.set_attn_implementation("regard-softmax")
    seen: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with regard.observe(fine, seen.append):
            states(fine)
        with regard.observe(fine, print):
            pass  # nothing ran
    assert len(seen) == 2  # the proof of the first call is not shown


@pytest.mark.parametrize("name", ["Bart", "Marian", "Whisper"])
def test_cached_decoding_of_encoder_decoders_is_uncached_decoding(name: str) -> None:
    """cosFormer weighs cross attention by the query's place, which a step does not know: refused; Performer does not."""
    model, given = crossing(name)
    model.set_attn_implementation("regard-performer")
    whole = decoded(model, IDS, given)
    with torch.no_grad():
        first = model(**given, decoder_input_ids=IDS[:, :5], use_cache=True)
        rest = model(
            encoder_outputs=(first.encoder_last_hidden_state,),
            decoder_input_ids=IDS[:, 5:],
            past_key_values=first.past_key_values,
        ).last_hidden_state
    close(rest, whole[:, 5:], atol=1e-4)


def clip() -> Any:
    part = {**SIZES, "projection_dim": 32}
    options = {"text_config": {**part, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2},
               "vision_config": {**part, "image_size": 32, "patch_size": 8}, "projection_dim": 32}  # fmt: skip
    return built("CLIP", **options)


def test_options_of_a_layer_stay_in_their_tower(tmp_path: Path) -> None:
    model = clip()
    picture = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def run(model: Any) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            out = model(input_ids=IDS, pixel_values=picture)
        return out.text_model_output.last_hidden_state, out.vision_model_output.last_hidden_state

    model.set_attn_implementation("regard-softmax")
    text, vision = run(model)
    huggingface.configure(model.vision_model, mechanism="smyrf", layers=[1], cluster_size=3, rounds=1)
    swapped = run(model)
    assert torch.equal(swapped[0], text)
    assert not torch.allclose(swapped[1], vision)
    huggingface.configure(model, mechanism="smyrf", seed=0)  # of the whole model, and moves nothing
    assert torch.equal(run(model)[1], swapped[1])
    with pytest.raises(
        ValueError, match=r"not unique in CLIPModel, which has the towers CLIPTextConfig \(0 … 1\), CLIPVisionConfig"
    ):
        huggingface.configure(model, mechanism="smyrf", layers=[1], cluster_size=3)
    with pytest.raises(ValueError, match=r"there is no layer 2; the model has 0 … 1"):
        huggingface.configure(model.text_model, mechanism="smyrf", layers=[2], cluster_size=3)
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path, attn_implementation="regard-softmax").eval()
    huggingface.number_layers(loaded)
    assert torch.equal(run(loaded)[1], swapped[1])
    assert torch.equal(run(loaded)[0], text)


def test_export_before_the_first_eager_call_draws_nothing() -> None:
    for name in ("smyrf", "performer"):
        model = bert()
        model.set_attn_implementation(f"regard-{name}")
        fresh = copy.deepcopy(model)
        from regard.mechanisms.performer.projection import seeded_projection
        from regard.mechanisms.smyrf.hashing import seeded_directions

        seeded_directions.cache_clear()
        seeded_projection.cache_clear()
        with torch.no_grad():
            program = torch.export.export(model, (IDS,), {"attention_mask": None}, strict=False)
        targets = [str(node.target) for node in program.graph.nodes]
        assert not [target for target in targets if "rand" in target or "multinomial" in target]
        expected = states(fresh)
        close(program.module()(IDS, attention_mask=None).last_hidden_state, expected, atol=1e-5)
        close(states(model), expected)


def test_a_refusal_is_an_error_of_its_own_kind() -> None:
    assert issubclass(SwapError, ValueError)
    model = built("MPNet", **SIZES)
    with pytest.raises(ValueError, match="code of its own"):
        model.set_attn_implementation("regard-smyrf")
    assert model.config._attn_implementation == "eager"
    assert torch.equal(states(model, mask=LEFT), states(built("MPNet", **SIZES), mask=LEFT))


def test_the_proof_of_the_first_call_is_nobodys_business() -> None:
    """Neither a user's hooks nor the random state nor training notice it, and it happens once."""
    model = bert().train()
    for layer in model.encoder.layer:
        layer.attention.self.dropout.p = 0.0
    calls: list[Any] = []
    model.encoder.register_forward_hook(lambda *call: calls.append(call))
    model.set_attn_implementation("regard-smyrf")
    torch.manual_seed(5)
    expected = torch.rand(3)
    model.eval()
    torch.manual_seed(5)
    model(IDS)
    assert torch.equal(torch.rand(3), expected)
    assert len(calls) == 1
    model.train()
    assert all(module.training for module in model.modules())
    model.set_attn_implementation("sdpa")
    model.set_attn_implementation("regard-smyrf")
    model(IDS)
    assert len(calls) == 2
    assert model.regard_proven == {"regard-smyrf"}


def test_a_model_that_works_on_its_mask_gets_the_matrix() -> None:
    """MPT asks for it as booleans, NLLB-MoE cuts it: each is transformers' own mask then, and never a row of padding."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, causal_mask_function, eager_mask

    given: dict[str, Any] = {"batch_size": 2, "q_length": N, "kv_length": N, "mask_function": causal_mask_function}
    given |= {"attention_mask": LEFT.bool(), "dtype": torch.float32, "device": "cpu"}
    mask, matrix = ALL_MASK_ATTENTION_FUNCTIONS["regard-softmax"](**given), eager_mask(**given)
    scores = torch.randn(2, 4, N, N)
    assert torch.equal(scores + mask, scores + matrix)
    assert torch.equal(mask + scores, scores + matrix)
    assert torch.equal(torch.where(mask < 0, 0.0, scores), torch.where(matrix < 0, 0.0, scores))
    assert torch.equal(mask == 0, matrix == 0)
    assert torch.equal(mask.__eq__(matrix), torch.ones_like(matrix, dtype=torch.bool))
    assert torch.equal(mask != 0, matrix != 0)
    assert torch.equal(mask**2, matrix**2)
    assert torch.equal(mask[:, :, :, :5], matrix[:, :, :, :5])
    assert torch.equal(mask.to(torch.bool), matrix.bool())
    assert torch.equal(scores.masked_fill(mask.to(torch.bool), 0), scores.masked_fill(matrix.bool(), 0))
    assert torch.equal(mask.expand(2, 4, N, N), matrix.expand(2, 4, N, N))
    assert (mask.shape, mask.ndim, mask.dtype) == (matrix.shape, 4, torch.float32)
    assert mask.to("cpu") is mask
    mpt = transformers.MptModel(transformers.MptConfig(vocab_size=60, d_model=32, n_layers=2, n_heads=4)).eval()
    with pytest.raises(ValueError, match=r"no attention that can be caught.*blocks.0.attn"):
        regard.swap(mpt)
