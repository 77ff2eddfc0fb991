"""Translation: subwords, pairs, the encoder–decoder with each mechanism, both searches, the scores, and a cell on a made-up language."""

import itertools
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from projects.better_attention import translation, translation_data
from projects.better_attention.check import check
from projects.better_attention.config import FOUR, PROJECT
from projects.better_attention.decoding import beam_search, greedy
from projects.better_attention.subwords import BEGIN, END, LEAST, PADDING, decoded, encoded, learnt
from projects.better_attention.translation_data import bilingual
from projects.better_attention.translation_scores import bleu, chrf, signatures
from projects.better_attention.translator import Translator
from regard_lab.data.pairs import Pairs
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[3]
SMALL = ["data.length=6", "model.width=8", "model.heads=2", "model.hidden=[8]"]
TINY = ["data.vocabulary=260", *SMALL]


config_of = configs_of(PROJECT, default="table=translation")


def model_of(attention: str, *overrides: str) -> Translator:
    torch.manual_seed(0)
    return Translator(config_of(*TINY, f"model.attention={attention}", *overrides)).eval()


def test_subwords_give_back_every_text():
    tokenizer = learnt(["the file the file menu", "the menu"], 270)
    texts = ["The file, «¿menú?»", "", " two  spaces", "☃"]
    numbers = encoded(tokenizer, texts)
    assert decoded(tokenizer, numbers) == [text.strip() for text in texts]
    assert all(END < number < 270 for row in numbers for number in row)
    assert len(encoded(tokenizer, ["the file"])[0]) < len("the file")
    inside = [BEGIN, *numbers[0], END, *numbers[3], PADDING]
    assert decoded(tokenizer, [inside]) == [texts[0]]


def pairs_of(count: int) -> Pairs:
    """A language whose words are the other's, with an o behind."""
    words = ["open", "the", "file", "menu"]
    rows = [[words[(place // 4**step) % 4] for step in range(1 + place % 2)] for place in range(count)]
    return Pairs.of((" ".join(row), " ".join(f"{word}o" for word in row)) for row in rows)


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    splits = {"train": pairs_of(64), "validation": pairs_of(8), "test": pairs_of(10)}
    monkeypatch.setattr(translation_data.data, "load", lambda name, root, source: splits)
    monkeypatch.chdir(tmp_path)
    translation_data._bilingual.cache_clear()
    yield splits
    translation_data._bilingual.cache_clear()


def test_pairs_that_fit_are_padded_between_begin_and_end(made_up):
    made_up["test"].sources.append("a much longer sentence than fits into it")
    made_up["test"].targets.append("open")
    made_up["test"].sources.append("open")
    made_up["test"].targets.append("file menu file menu file menu")
    found = bilingual(config_of("data.vocabulary=290", "data.length=5").data, Path.cwd())
    test = found.splits["test"]
    assert test.sources.shape == (10, 5)  # neither of the two
    assert test.targets.shape == (10, 6)
    assert test.source_texts == made_up["test"].sources[:10]
    for row, text in zip(test.targets.tolist(), test.target_texts, strict=True):
        assert row[0] == BEGIN
        assert row.count(END) == 1
        assert set(row[row.index(END) + 1 :]) <= {PADDING}
        assert decoded(found.target, [row]) == [text]


@pytest.mark.parametrize("attention", FOUR)
def test_padding_and_the_future_change_nothing(attention):
    model = model_of(attention)
    sources = torch.tensor([[5, 6, 7, PADDING, PADDING, PADDING], [5, 6, 7, 8, 9, 4]])
    targets = torch.tensor([[BEGIN, 8, 9, 4], [BEGIN, 4, 5, 6]])
    before = model(sources, targets)
    assert torch.allclose(model(sources[:1, :3], targets[:1]), before[:1], atol=1e-6)
    changed = targets.clone()
    changed[:, 2:] = 11
    after = model(sources, changed)
    assert torch.equal(after[:, :2], before[:, :2])
    assert not torch.allclose(after[:, 3], before[:, 3])
    with torch.no_grad():
        model.embeddings[0].weight[PADDING] = 1e6
    assert torch.allclose(model(sources, targets), before, atol=1e-6)
    assert not torch.allclose(model(sources.flip(1), targets), before)


def test_a_translator_whose_mixing_is_the_identity_begins_as_efficient():
    mixed, efficient = model_of("super_identity"), model_of("efficient")
    kept = {key: value for key, value in mixed.state_dict().items() if ".mixing." not in key}
    assert len(mixed.state_dict()) == len(kept) + 6  # weight and bias in three places
    efficient.load_state_dict(kept)
    sources, targets = torch.tensor([[7, 8, 9, PADDING], [9, 7, 7, 8]]), torch.tensor([[BEGIN, 8, 9], [BEGIN, 9, 7]])
    torch.testing.assert_close(mixed(sources, targets), efficient(sources, targets), rtol=0, atol=1e-5)
    assert not torch.allclose(model_of("super")(sources, targets), efficient(sources, targets), atol=1e-2)


def test_each_place_has_a_matrix_of_its_own_length_and_the_decoders_is_triangular():
    model = model_of("super")
    layers = [model.encoder[0].attention, model.decoder[0].own, model.decoder[0].cross]
    assert [layer.pattern for layer in layers] == ["noncausal_self", "causal_self", "causal_cross"]
    assert [tuple(layer.mixing.weight.shape) for layer in layers] == [(6, 6)] * 3
    sources, targets = torch.tensor([[5, 6, 7, 8, 9, 4]]), torch.tensor([[BEGIN, 4, 5, 6]])
    before = model(sources, targets)
    upper = torch.ones(6, 6).triu(1).bool()
    for layer, counts in zip(layers, (True, False, True), strict=True):
        kept = layer.mixing.weight.detach().clone()
        with torch.no_grad():
            layer.mixing.weight[upper] += 1
        assert (not torch.equal(model(sources, targets), before)) is counts
        with torch.no_grad():
            layer.mixing.weight.copy_(kept)


@pytest.mark.parametrize(
    ("attention", "a_layer"), [("softmax", 288), ("optimised", 216), ("efficient", 144), ("super", 186)]
)
def test_attention_parameters_of_three_layers(attention, a_layer):
    assert model_of(attention).attention_parameters() == 3 * a_layer  # (w² + w) a map; w = 8, and l² + l with l = 6


def test_the_loss_is_that_of_all_real_subwords():
    model = model_of("super").train()
    sources = torch.tensor([[5, 6, 7, PADDING], [5, 6, 7, 8]])
    targets = torch.tensor([[BEGIN, 8, END, PADDING], [BEGIN, 4, 5, END]])
    model.dropout.p = 0.0
    found = translation.score(model, (sources, targets))
    logits, wanted = model(sources, targets[:, :-1]), targets[:, 1:]
    nats = -logits.log_softmax(-1).gather(-1, wanted[..., None])[..., 0][wanted != PADDING]
    assert len(nats) == 5
    assert found["loss"].item() == pytest.approx(nats.mean().item(), abs=1e-5)
    assert found["nats"].item() == pytest.approx(nats.sum().item() / 2, abs=1e-5)
    assert float(found["subwords"]) == 2.5


class Table(torch.nn.Module):
    """In the place of a translator: the next word hangs on the last one and on the source's first, by a table of log p of three words."""

    length = 4

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(seed))
        draw[:, :, [PADDING, BEGIN]] = -torch.inf
        self.log_p = (2 * draw).log_softmax(-1)

    def encode(self, sources: torch.Tensor) -> torch.Tensor:
        return sources[:, :1]

    def next_logits(self, context: torch.Tensor, mask: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.log_p[context[:, 0], targets[:, -1]].clone()

    def sum_of(self, source: int, words: tuple[int, ...]) -> float:
        return math.fsum(float(self.log_p[source, a, b]) for a, b in itertools.pairwise((BEGIN, *words)))


def hypotheses() -> list[tuple[int, ...]]:
    """All that end with END within four words, or are four words long."""
    ended = [(*words, END) for n in range(4) for words in itertools.product((3, 4, 5), repeat=n)]
    return ended + list(itertools.product((3, 4, 5), repeat=4))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_of_all_hypotheses(seed, alpha):
    model = Table(seed)
    found = beam_search(model, torch.tensor([[0, 3], [1, 3]]), beam=200, length_penalty=alpha)
    for source in range(2):
        best = max(hypotheses(), key=lambda words, source=source: model.sum_of(source, words) / len(words) ** alpha)
        assert tuple(word for word in found[source].tolist() if word != PADDING) == best


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_is_greedy_and_greedy_takes_the_likeliest(seed):
    model, sources = Table(seed), torch.tensor([[0, 3], [1, 3]])
    found = greedy(model, sources)
    for source, row in enumerate(found.tolist()):
        words = [BEGIN]
        while len(words) < 5 and words[-1] != END:
            words.append(int(model.log_p[source, words[-1]].argmax()))
        assert [word for word in row if word != PADDING] == words[1:]
    wide = beam_search(model, sources, beam=1, length_penalty=1.0)
    assert wide.tolist() == found.tolist()


def test_a_wider_beam_can_pay():
    sums = []
    for seed in range(20):
        model = Table(seed)
        sources = torch.tensor([[0, 3]])
        rows = [greedy(model, sources), beam_search(model, sources, 3, 0.0)]
        sums.append([model.sum_of(0, tuple(word for word in row[0].tolist() if word != PADDING)) for row in rows])
    assert any(wide > one + 1e-6 for one, wide in sums)


@pytest.mark.parametrize("attention", FOUR)
def test_searches_run_on_the_translator_and_agree_with_its_logits(attention):
    model, sources = model_of(attention), torch.tensor([[5, 6, 7, PADDING], [5, 6, 7, 8]])
    found = greedy(model, sources)
    assert beam_search(model, sources, 1, 1.0).tolist() == found.tolist()
    targets = torch.cat([torch.full((2, 1), BEGIN), found], 1)[:, : model.length]
    logits = model(sources, targets)
    logits[..., [PADDING, BEGIN]] = -torch.inf
    real = found != PADDING
    assert torch.equal(logits[:, : found.shape[1]].argmax(-1)[real], found[real])


def plain_bleu(hypotheses: list[list[str]], references: list[list[str]]) -> float:
    """exp(Σ log p_n / 4) min(1, exp(1 − r / c)), clipped n-gram precisions p_n over the corpus."""
    found = 0.0
    for n in range(1, 5):
        hits = total = 0
        for own, other in zip(hypotheses, references, strict=True):
            grams, known = (Counter(zip(*(words[i:] for i in range(n)), strict=False)) for words in (own, other))
            hits, total = hits + sum((grams & known).values()), total + sum(grams.values())
        found += math.log(hits / total) / 4
    c, r = (sum(map(len, each)) for each in (hypotheses, references))
    return 100 * math.exp(found) * min(1.0, math.exp(1 - r / c))


def test_bleu_is_the_formula_on_the_tokens_of_13a():
    hypotheses = ["Haga clic en Aceptar, por favor.", "Abre el menú de la hoja"]
    references = ["Haga clic en Aceptar para abrir.", "Abre el menú de la hoja de cálculo (nueva)"]
    tokens = [["Haga", "clic", "en", "Aceptar", ",", "por", "favor", "."], hypotheses[1].split()]
    known = [
        ["Haga", "clic", "en", "Aceptar", "para", "abrir", "."],
        [*references[1].split()[:-1], "(", "nueva", ")"],
    ]
    assert bleu(hypotheses, references) == pytest.approx(plain_bleu(tokens, known), abs=1e-3)
    assert bleu(references, references) == pytest.approx(100)
    assert bleu([text.upper() for text in references], references) < 5  # letter case counts


def plain_chrf(hypotheses: list[str], references: list[str]) -> float:
    """F_2 of precision and recall, each the mean over n = 1 … 6 of the corpus' clipped n-grams of characters, spaces left out."""
    precision = recall = 0.0
    for n in range(1, 7):
        hits = own_total = known_total = 0
        for own, known in zip(hypotheses, references, strict=True):
            own_grams, known_grams = (
                Counter(text[at : at + n] for at in range(len(text) - n + 1))
                for text in (own.replace(" ", ""), known.replace(" ", ""))
            )
            hits += sum((own_grams & known_grams).values())
            own_total, known_total = own_total + sum(own_grams.values()), known_total + sum(known_grams.values())
        precision, recall = precision + hits / own_total / 6, recall + hits / known_total / 6
    return 100 * 5 * precision * recall / (4 * precision + recall)


def test_chrf_is_the_formula():
    hypotheses = ["Haga clic en Aceptar, por favor.", "Abre el menú de la hoja"]
    references = ["Haga clic en Aceptar para abrir.", "Abre el menú de la hoja de cálculo (nueva)"]
    assert chrf(hypotheses, references) == pytest.approx(plain_chrf(hypotheses, references), abs=1e-3)
    assert chrf(["hola mundo"], ["holamundo"]) == pytest.approx(100)
    found = signatures(hypotheses, references)
    assert "case:mixed|eff:no|tok:13a|smooth:exp|version:" in found["bleu"]
    assert "nc:6|nw:0|space:no|version:" in found["chrf"]


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["softmax", "super"])
def test_a_cell_learns_the_made_up_language(made_up, tmp_path, attention):
    sizes = ["data.vocabulary=290", "model.width=32", "model.hidden=[32]", "model.heads=2", "model.head_dropout=0.0"]
    config = config_of(
        *sizes, f"model.attention={attention}", "budget.epochs=25", "training.batch_size=8", "data.length=5"
    )
    measured = translation.train(config, tmp_path)
    assert measured.metrics["chrf"] > 90
    assert measured.metrics["test_perplexity"] == pytest.approx(math.exp(measured.metrics["test_loss"]))
    assert len(measured.exhibits["sentences"]) == 10
    assert measured.exhibits["sentences"][0].keys() == {"source", "reference", "greedy", "beam"}
    assert len(measured.curves["validation_loss"]) == 25


def test_the_published_setting_of_translation_runs_a_step(made_up, tmp_path):
    """`paper` scale as it is, on few pairs; only epochs are cut."""
    config = config_of("scale=paper", "model.attention=super", "budget.epochs=1", "seed=1")
    check(config)
    assert (config.data.name, config.data.source, config.data.length) == ("europarl_anki", "folder", 20)
    measured = translation.train(config, tmp_path)
    assert all(math.isfinite(value) for value in measured.metrics.values())
    assert measured.exhibits == {}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (f"data.vocabulary={LEAST - 1}", f"data.vocabulary must be at least {LEAST}"),
        ("data.length=1", "data.length must be at least 2"),
        ("translation.beam=0", "translation.beam must be at least 1, got 0"),
        ("translation.beam=2000", "got 2000 and 1000"),
        ("translation.length_penalty=-1", "must not be negative, got -1"),
        ("model.heads=3", "width = 32 and heads = 3"),
        ("model.norm=pre", "got 'pre' and 'relu'"),
        ("model.hidden=[8,8]", r"the one width of the feed-forward part, got \[8, 8\]"),
        ("training.optimiser=sgd", "must be one of adam, adamw, rmsprop, got 'sgd'"),
        ("model.attention=supre", "Did you mean 'super'"),
    ],
)
def test_a_translator_that_cannot_be_is_refused_with_the_numbers(override, message):
    with pytest.raises(ValueError, match=message):
        check(config_of(override))


def test_rmsprop_is_that_of_keras():
    from projects.better_attention.fitting import optimiser

    layer = torch.nn.Linear(1, 1, bias=False)
    made = optimiser(layer, config_of("scale=paper").training)
    torch.nn.init.zeros_(layer.weight)
    F.l1_loss(layer(torch.ones(1, 1)), torch.ones(1, 1)).backward()
    made.step()
    assert float(layer.weight) == pytest.approx(1e-3 / math.sqrt(0.1), rel=1e-4)  # g = -1: lr / √(0.1 g²)
