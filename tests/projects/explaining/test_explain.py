"""The heads of any model: what is observed is what the model computes, null shares are those of a plain loop, and the page and table show them."""

import json
import re
import sys

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from projects.explaining import explain as command
from projects.explaining.analyses.heads import occlusion, prediction
from projects.explaining.analyses.null_space import null_space, spread
from projects.explaining.figures.heads import page
from projects.explaining.models.observed import observed
from regard_lab.common.errors import UserError

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}


def bert(cls=BertModel):
    torch.manual_seed(0)
    return cls(BertConfig(vocab_size=40, max_position_embeddings=64, **SIZES)).eval()


def gpt2():
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=40, n_positions=64, n_embd=16, n_layer=2, n_head=4)).eval()


def llama():
    """Four query heads on two key heads."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=40, num_key_value_heads=2, max_position_embeddings=64, **SIZES)
    ).eval()


MODELS = {"bert": bert, "classifier": lambda: bert(BertForSequenceClassification), "gpt2": gpt2, "llama": llama}


class Tokenizer:
    """Numbers as words; [CLS] = 1 and [SEP] = 2 around them."""

    all_special_ids = (1, 2)

    def __call__(self, text, *, max_length, **_):
        ids = [*[1, *(int(word) for word in text.split())][: max_length - 1], 2]
        return {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}

    def convert_ids_to_tokens(self, ids):
        return [f"▁w{number}" for number in ids]


TEXT = " ".join(
    str(number) for number in torch.randint(3, 40, (11,), generator=torch.Generator().manual_seed(1)).tolist()
)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_observed_is_what_the_model_computes(name):
    model, inputs = MODELS[name](), Tokenizer()(TEXT, max_length=64)
    expected = model(**inputs)[0]
    before = model.config._attn_implementation
    layers = []
    with torch.no_grad(), observed(model, layers.append):
        assert torch.allclose(model(**inputs)[0], expected, atol=1e-5)
    assert model.config._attn_implementation == before
    model.set_attn_implementation("eager")
    attentions = model(**inputs, output_attentions=True).attentions
    assert [layer.number for layer in layers] == [0, 1]
    for layer, attention in zip(layers, attentions, strict=True):
        assert torch.allclose(layer.attention, attention, atol=1e-6)
        assert layer.values.shape == (1, 4, 13, 4)
        assert torch.equal(
            layer.visible,
            torch.ones(13, 13).bool() if "bert" in name or name == "classifier" else torch.ones(13, 13).tril().bool(),
        )


def test_a_model_without_the_interface_is_refused():
    class Own(torch.nn.Module):
        config = BertConfig()

        def set_attn_implementation(self, name):
            self.config._attn_implementation = name

        def forward(self, x):
            return x

    with pytest.raises(UserError, match="none of its attentions went through"), observed(Own(), print):
        pass


@pytest.mark.parametrize("causal", [False, True])
def test_the_null_space_is_that_of_a_plain_loop(causal):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, 12, 4, generator=generator)
    values[1, 5] = values[1, 6]  # two equal tokens: one null direction more where both are seen and few others
    scores = 3 * torch.randn(3, 12, 12, generator=generator)
    visible = torch.ones(12, 12).tril().bool() if causal else torch.ones(12, 12).bool()
    attention = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    rows = spread(12, 5)
    assert rows.tolist() == [0, 3, 6, 8, 11]
    found = null_space(attention, values, visible, rows)
    for head in range(3):
        for place, row in enumerate(rows.tolist()):
            keys = row + 1 if causal else 12
            a, t = attention[head, row, :keys].double().numpy(), values[head, :keys].double().numpy()
            a = a / a.sum()
            inside = a @ t @ np.linalg.pinv(t)
            share = 1 - (inside @ inside) / (a @ a)
            assert float(found.share[head, place]) == pytest.approx(share, abs=1e-9)
            assert int(found.dimension[head, place]) == keys - np.linalg.matrix_rank(t)
            assert bool(found.e1[head, place]) == (abs(inside.sum() - 1) < 1e-8 and inside.min() > -1e-10)
            ones = np.concatenate([t, np.ones((keys, 1))], 1)
            second = a @ ones @ np.linalg.pinv(ones)
            assert bool(found.e2[head, place]) == (second.min() > -1e-10)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("definition", ["E1", "E4"])
def test_every_head_keeps_its_output_and_counts_its_null_share(name, definition):
    (one,) = command.explain(
        MODELS[name](), Tokenizer(), [TEXT], definition=definition, against=("gradients", "occlusion")
    )
    assert [(head.layer, head.head) for head in one.heads] == [(layer, head) for layer in (0, 1) for head in range(4)]
    assert (one.causal, one.row) == ((True, 12) if name in ("gpt2", "llama") else (False, 0))
    for head in one.heads:
        assert head.error < 1e-8
        assert 0 < head.null_share < 1  # 13 tokens, values 4 wide
        assert set(head.agreement) == {(i, kind) for i in ("gradients", "occlusion") for kind in ("raw", "effective")}
        assert float(head.raw.sum()) == pytest.approx(1)
        assert all(-1 <= tau <= 1 for tau in head.agreement.values())
    assert one.words[3] == f"w{TEXT.split()[2]}"
    assert one.special == [True, *[False] * 11, True]


def test_occlusion_hides_a_token_where_it_stands():
    model, inputs = bert(BertForSequenceClassification), Tokenizer()(TEXT, max_length=64)
    embedded = model.get_input_embeddings()(inputs["input_ids"])
    outputs = model(**inputs)
    with torch.no_grad():
        changes = occlusion(model, embedded, inputs["attention_mask"], outputs, 0)
        hidden = inputs["attention_mask"].clone()
        hidden[0, 4] = 0
        after = model(input_ids=inputs["input_ids"], attention_mask=hidden).logits.softmax(-1)
        moved = (after - prediction(outputs, 0)).abs().sum() / 2
    assert float(changes[4]) == pytest.approx(float(moved), abs=1e-6)


def test_page_and_table(tmp_path, monkeypatch, capsys):
    model = llama()
    monkeypatch.setattr(command, "loaded", lambda name: (model, Tokenizer()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text(f"{TEXT}\n\n3 4 5 6\n")
    monkeypatch.setattr("sys.argv", ["explain", "model=tiny", f"text={TEXT}", "definition=E2"])
    assert command.main() == 0
    shown = (tmp_path / "explain.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', shown, re.DOTALL)[1].replace("<\\/", "</"))
    (one,) = command.explain(model, Tokenizer(), [TEXT], definition="E2")
    assert len(data["heads"]) == shown.count("<button") == 8
    assert data["heads"][5]["effective"] == pytest.approx(one.heads[5].effective.tolist(), abs=1e-5)
    assert f"null share {100 * one.heads[5].null_share:.1f} %" in data["heads"][5]["says"]
    monkeypatch.setattr("sys.argv", ["explain", "model=tiny", "texts=texts.txt", "csv=heads.csv", "against=none"])
    assert command.main() == 0
    lines = (tmp_path / "heads.csv").read_text().splitlines()
    assert lines[0] == "text,tokens,layer,head,null_share,moved,special_raw,special_effective"
    assert len(lines) == 1 + 2 * 8
    assert "2 texts, 19 tokens, 8 heads" in capsys.readouterr().out
    assert "</script>" not in page(one, "</script>").split('id="data">')[1].split("</script>")[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=minilm"], "model= and one of text= and texts= are needed"),
        (["model=minilm", "tekst=a"], "got 'tekst=a'. Did you mean"),
        (["model=minilm", "texts=a.txt"], "texts= needs csv="),
        (["model=minilm", "text=a", "tokens=1"], "tokens is a whole number of at least 2, got '1'"),
    ],
)
def test_arguments_that_cannot_be_read(words, message):
    with pytest.raises(UserError, match=re.escape(message)):
        command.request(words)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "holds no text"),
        (b"\xff\xfe\xfa", "cannot be read as text"),
        ("a folder", "cannot be read"),
    ],
)
@pytest.mark.parametrize("key", ["text", "texts"])
def test_files_that_hold_no_text(tmp_path, key, content, message):
    path = tmp_path / "words.txt"
    if content == "a folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        command.texts_of({key: str(path)})


@pytest.mark.parametrize(
    ("word", "message"),
    [("definition=E7", "there is no definition 'E7'"), ("against=occlusions", "there is no importance 'occlusions'")],
)
def test_names_are_checked_before_a_model_is_loaded(word, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["explain", "model=minilm", "text=a", word])
    monkeypatch.setattr(command, "loaded", lambda name: pytest.fail("the model was loaded"))
    assert command.main() == 2
    assert message in capsys.readouterr().err


def test_what_cannot_be_explained():
    with pytest.raises(UserError, match="there is no definition 'E7'"):
        command.explain(gpt2(), Tokenizer(), [TEXT], definition="E7")
    with pytest.raises(UserError, match="Did you mean 'gradients'"):
        command.explain(gpt2(), Tokenizer(), [TEXT], against=("gradient",))
