"""SMYRF swapped into Hugging Face models, and the command that a practitioner runs; tiny checkpoints of our own."""

import csv
import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from projects.smyrf import swap as swap_command
from projects.smyrf.analyses.pretrained.comparison import cluster_sizes_for
from projects.smyrf.analyses.pretrained.request import request_of
from projects.smyrf.models.checkpoints import checkpoint
from projects.smyrf.models.swapping import Swap, swapped
from regard.adapters import huggingface
from regard_lab.common.errors import UserError
from tests.projects.smyrf import tiny_checkpoints as tiny


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: getattr(tiny, name)(root / name) for name in ("bert", "gpt2", "vit")}


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(4):
        words = [tiny.WORDS[(number + 3 * place) % len(tiny.WORDS)] for place in range(20 + number)]
        (folder / f"{number}.txt").write_text(" ".join(words), encoding="utf-8")
    return folder


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["swap", *map(str, words)])
    code = swap_command.main()
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_swap_is_the_adapters_where_the_adapter_has_it(checkpoints):
    from transformers import BertModel

    model = BertModel.from_pretrained(checkpoints["bert"]).eval()
    ids = torch.randint(0, 15, (2, 24), generator=torch.Generator().manual_seed(0))
    keep = torch.arange(24) < torch.tensor([[24], [17]])
    given = {"input_ids": ids, "attention_mask": keep.long()}
    before = model.config._attn_implementation
    with torch.no_grad():
        with swapped(model, Swap(2, 6, seed=3)):
            ours = model(**given).last_hidden_state
        with swapped(model, Swap(2, 24)):
            one_cluster = model(**given).last_hidden_state
        with swapped(model, None):
            dense = model(**given).last_hidden_state
        assert model.config._attn_implementation == before
        assert not hasattr(model.config, huggingface.SETTINGS)
        huggingface.register()
        model.set_attn_implementation("regard-smyrf")
        huggingface.configure(model, rounds=2, cluster_size=6, seed=3)
        assert torch.allclose(ours[keep], model(**given).last_hidden_state[keep], atol=1e-6)
    assert torch.allclose(one_cluster[keep], dense[keep], atol=1e-5)
    assert not torch.allclose(ours[keep], dense[keep], atol=1e-2)


@pytest.mark.parametrize("scheme", ["asymmetric", "plain", "reformer", "random"])
def test_a_causal_model_never_sees_its_future(scheme):
    model = tiny.llama()
    ids = torch.randint(0, 15, (1, 40), generator=torch.Generator().manual_seed(0))
    other = torch.cat([ids[:, :25], 14 - ids[:, 25:]], 1)
    with torch.no_grad(), swapped(model, Swap(2, 4, scheme)):
        one, two = (model(x, use_cache=False).logits for x in (ids, other))
    assert torch.allclose(one[:, :25], two[:, :25], atol=1e-6)
    with torch.no_grad(), swapped(model, Swap(1, 40)):  # grouped queries: each key's heads must meet their own queries
        whole = model(ids, use_cache=False).logits
    with torch.no_grad(), swapped(model, None):
        assert torch.allclose(whole, model(ids, use_cache=False).logits, atol=1e-5)


def test_layers_and_keys_that_count_once(checkpoints):
    from transformers import BertModel

    model = BertModel.from_pretrained(checkpoints["bert"]).eval()
    ids = torch.arange(30)[None] % 15

    def states(swap):
        with torch.no_grad(), swapped(model, swap):
            return model(ids, output_hidden_states=True).hidden_states

    dense, last_only = states(None), states(Swap(2, 8, layers=(1,)))
    assert torch.allclose(dense[1], last_only[1], atol=1e-5)  # layer 0 stays dense
    assert not torch.allclose(dense[2], last_only[2], atol=1e-2)
    assert not torch.allclose(states(Swap(4, 16))[2], states(Swap(4, 16, dedup=True))[2], atol=1e-3)
    with pytest.raises(ValueError, match="no layer 2; the model has 0 … 1"):
        states(Swap(2, 8, layers=(1, 2)))


def test_score_memory_by_hand():
    assert Swap(2, 32).score_memory(128, causal=False, layers=6) == 0.5
    assert Swap(2, 32, layers=(0, 1, 2)).score_memory(128, causal=False, layers=6) == 0.75
    assert cluster_sizes_for(2, 128) == [32, 16, 8, 4]


def test_a_sweep_over_an_encoder(checkpoints, texts, tmp_path, monkeypatch, capsys):
    numbers = tmp_path / "swap.csv"
    words = [f"model={checkpoints['bert']}", f"data={texts}", "sweep=true", "rounds=1", "repeats=1", f"csv={numbers}"]
    code, out, err = run(monkeypatch, capsys, *words)
    assert (code, err) == (0, "")
    assert "2 layers of attention, SMYRF in all" in out
    assert "4 inputs of 22 to 25 tokens" in out  # with [CLS] and [SEP]
    rows = list(csv.DictReader(numbers.open()))
    assert [row["cluster_size"] for row in rows] == ["13", "7", "4", "2"]
    assert "perplexity" not in rows[0]
    assert float(rows[-1]["cosine_mean"]) < 0.999
    assert float(rows[0]["score_memory"]) == pytest.approx(sum(13 / n for n in (22, 23, 24, 25)) / 4)


def test_perplexity_of_a_causal_model_is_its_own_loss(checkpoints, texts, tmp_path, monkeypatch, capsys):
    numbers = tmp_path / "swap.csv"
    one_cluster = ["cluster_size=64", "repeats=1", f"csv={numbers}"]
    code, out, _ = run(monkeypatch, capsys, f"model={checkpoints['gpt2']}", f"data={texts}", *one_cluster)
    assert code == 0
    assert "Causal SMYRF is ours" in out
    loaded = checkpoint(str(checkpoints["gpt2"]), tmp_path)
    nats = []
    for path in sorted(texts.iterdir()):
        ids = torch.tensor([loaded.tokenizer(path.read_text())["input_ids"]])
        with torch.no_grad():
            nats.append(F.cross_entropy(loaded.model(ids).logits[0, :-1], ids[0, 1:], reduction="none"))
    (row,) = csv.DictReader(numbers.open())
    assert float(row["dense_perplexity"]) == pytest.approx(math.exp(torch.cat(nats).mean()), rel=1e-4)
    assert float(row["perplexity"]) == pytest.approx(float(row["dense_perplexity"]), rel=1e-4)  # one cluster is dense
    assert float(row["cosine_least"]) == pytest.approx(1, abs=1e-5)


def test_pictures(checkpoints, tmp_path, monkeypatch, capsys):
    random = np.random.default_rng(0)
    for number, size in enumerate([(20, 30, 3), (16, 16, 3)]):
        Image.fromarray(random.integers(0, 255, size, dtype=np.uint8)).save(tmp_path / f"{number}.png")
    words = [
        f"model={checkpoints['vit']}",
        f"data={tmp_path}",
        "cluster_size=4",
        "scheme=plain",
        "layers=0",
        "repeats=1",
    ]
    code, out, _ = run(monkeypatch, capsys, *words)
    assert code == 0
    assert "2 inputs of 17 tokens" in out  # 16 patches and the class token
    assert "SMYRF in layers 0 (plain hash, seed 0)" in out
    line = next(line for line in out.splitlines() if "2 × 4" in line)
    assert "73.5 %" in line  # (2 · 4 / 17 + 1) / 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("model=x dta=y", "there is no 'dta'. Did you mean 'data'"),
        ("model=x", "data= is missing; an example"),
        ("model=x data=/nowhere/at/all", "data=/nowhere/at/all is neither a folder nor a file"),
        ("model=x data=. rounds=none", "rounds is a whole number of at least 1, got 'none'"),
        ("model=x data=. scheme=plan", "there is no scheme 'plan'. Did you mean 'plain'"),
        ("model=x data=. layers=3-1", "layers are numbers and ranges from 0 on"),
        ("model=x data=. sweep=true cluster_size=8", "sweep=true chooses the cluster sizes itself"),
        ("model=x data=. seed=1 seed=2", "seed is given twice"),
        ("model=minlm/nowhere data=.", "minlm/nowhere could not be loaded"),
        ("model={gpt2} data={texts} layers=5", "there is no layer 5; the model has 0 … 1"),
        ("model={bert} data={bert}", "holds no .txt file"),
        ("model={bert} data={texts} tokens=65", "positions for 64 tokens, got tokens=65"),
        ("model={vit} data={texts}", "holds no .png or .jpg"),
        ("model={headless} data={texts}", "a decoder without its language model's head"),
        ("model={t5} data={texts}", "is an encoder with a decoder (t5)"),
        (
            "model={convnext} data={texts}",
            "ConvNextModel has no attention that goes through transformers' attention interface",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(
    words, message, checkpoints, texts, tmp_path, monkeypatch, capsys
):
    from transformers import ConvNextConfig, ConvNextModel, T5Config

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else it asks the network five times
    made = {}
    if "{headless}" in words:
        made["headless"] = tiny.gpt2(tmp_path / "headless", head=False)
    if "{t5}" in words:
        T5Config(d_model=8, d_ff=8, num_layers=1, num_heads=1).save_pretrained(tmp_path / "t5")
        made["t5"] = tmp_path / "t5"
    if "{convnext}" in words:
        config = ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], image_size=32)
        made["convnext"] = tiny.saved(ConvNextModel(config), tmp_path / "convnext")
    places = {"texts": texts, **checkpoints, **made}
    code, out, err = run(monkeypatch, capsys, *(word.format(**places) for word in words.split()))
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_words_are_read_whole():
    request = request_of(["model=m", "data=d", "layers=0,6-8", "dedup=true", "tokens=77"])
    assert (request.layers, request.dedup, request.tokens, request.rounds) == ((0, 6, 7, 8), True, 77, 2)
    with pytest.raises(UserError, match="dedup is true or false, got 'yes'"):
        request_of(["model=m", "data=d", "dedup=yes"])
