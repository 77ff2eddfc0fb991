"""Translation: the loss, the scores against their formulas, and cells on a made-up language."""

import math
from collections import Counter

import pytest
import torch

from projects.better_attention.config import PROJECT
from projects.better_attention.data.pairs import Parallel
from projects.better_attention.models.checks import check
from projects.better_attention.models.translator import Translator
from projects.better_attention.tasks import translation
from projects.better_attention.tasks.translation import bleu, chrf, signatures, some
from regard_lab.data.subwords import BEGIN, END, PADDING
from tests.configs import configs_of

TINY = ["data.vocabulary=260", "data.length=6", "model.width=8", "model.heads=2", "model.hidden=[8]"]

config_of = configs_of(PROJECT, default="table=translation")


def model_of(attention: str, *overrides: str) -> Translator:
    torch.manual_seed(0)
    config = config_of(*TINY, f"model.attention={attention}", *overrides)
    return Translator(config.data, config.model, config.translation).eval()


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
def test_a_cell_learns_the_made_up_language(parallel_data, tmp_path, attention):
    sizes = [
        "search=null",
        "data.vocabulary=290",
        "model.width=32",
        "model.hidden=[32]",
        "model.heads=2",
        "model.head_dropout=0.0",
    ]
    config = config_of(
        *sizes, f"model.attention={attention}", "training.epochs=25", "training.batch_size=8", "data.length=5"
    )
    measured = translation.train(config, tmp_path)
    assert measured.metrics["chrf"] > 90
    assert measured.metrics["test_perplexity"] == pytest.approx(math.exp(measured.metrics["test_loss"]))
    assert len(measured.exhibits["sentences"]) == 10
    assert measured.exhibits["sentences"][0].keys() == {"source", "reference", "greedy", "beam"}
    assert len(measured.curves["validation_loss"]) == 25


def test_a_part_of_a_split_keeps_its_pairs_together():
    rows = torch.arange(8)
    split = Parallel(
        rows[:, None], rows[:, None] + 100, [str(row) for row in range(8)], [f"{row}o" for row in range(8)]
    )
    part = some(split, 3)
    assert len(set(part.source_texts)) == 3
    assert [f"{row}o" for row in part.source_texts] == part.target_texts
    assert part.sources.flatten().tolist() == [int(row) for row in part.source_texts]
    assert part.targets.flatten().tolist() == [int(row) + 100 for row in part.source_texts]
    assert some(split, None) is split


@pytest.mark.parametrize(("table", "name"), [("translation", "libreoffice_help"), ("translation_anki", "anki")])
def test_each_table_reads_its_own_pairs(table, name):
    config = config_of(f"table={table}", "scale=laptop", "model.attention=softmax")
    assert config.data.name == name
    check(config)


def test_the_published_setting_of_translation_runs_a_step(parallel_data, tmp_path):
    """`paper` scale as it is, on few pairs; only epochs are cut."""
    config = config_of("scale=paper", "model.attention=super", "training.epochs=1", "seed=1")
    check(config)
    assert (config.data.name, config.data.source, config.data.length) == ("europarl_anki", "folder", 20)
    measured = translation.train(config, tmp_path)
    assert all(math.isfinite(value) for value in measured.metrics.values())
    assert measured.exhibits == {}
