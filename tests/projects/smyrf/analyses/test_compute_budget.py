"""The cost of `paper` scale: hand-worked counts on small networks, the configs' own amounts, published sizes of models, the README's table."""

import importlib
import itertools
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from projects.smyrf.analyses.compute_budget import analyses, generators, report, texts, transformers, work
from projects.smyrf.analyses.compute_budget.generators import Costs
from projects.smyrf.analyses.compute_budget.work import Work
from projects.smyrf.config import PROJECT, Attention, Network
from projects.smyrf.models.biggan import Attend, Discriminator, Generator
from projects.smyrf.models.text_classifier import Classifier
from regard_lab.common.errors import UserError
from tests.configs import configs_of
from tests.paths import ROOT

SMYRF = Attention("smyrf", 2, 5, "asymmetric", False)
LAYERS, WIDTH, HEADS, INNER, TOKENS, CLASSES = 2, 16, 4, 24, 10, 3
MAPS = LAYERS * (4 * 2 * TOKENS * WIDTH**2 + 2 * 2 * TOKENS * WIDTH * INNER)  # q, k, v, output; the feed-forward part
DENSE = LAYERS * 2 * TOKENS**2 * (WIDTH + WIDTH)  # q · k, and weights · v
SMALL = Network(16, 1, 3, 8, [2, 2, 1], [1, 2], 12, 5, True, 16)


config_of = configs_of(PROJECT, default="table=glue")


def tiny(implementation: str):
    import transformers

    sizes = {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
    }
    model = transformers.BertModel(transformers.BertConfig(vocab_size=9, **sizes), add_pooling_layer=False)
    model.set_attn_implementation(implementation)
    return model


@pytest.fixture
def tiny_models(monkeypatch):
    transformers.published("bert-base-uncased")  # registers `nothing`

    def made(checkpoint):
        with torch.device("meta"):
            return tiny(transformers.NOTHING)

    monkeypatch.setattr(transformers, "published", made)
    monkeypatch.setattr(texts, "published", made)  # which has the name of its own
    monkeypatch.setattr(work, "_known", {})


@pytest.mark.usefixtures("tiny_models")
def test_a_pass_by_hand_and_as_torch_counts_the_whole_of_it():
    assert transformers.forward("tiny", TOKENS, SMYRF, "softmax") == MAPS + DENSE
    ids = torch.ones(1, TOKENS, dtype=torch.long)
    whole = tiny("eager").eval()
    assert work.counted(lambda: whole(ids)) == MAPS + DENSE
    # 2 rounds of all queries on 5 keys each, head width 4; and 2 products a token and head for the hashes of queries and of keys
    clustered = LAYERS * (2 * HEADS * 2 * TOKENS * 5 * (4 + 4) + 2 * HEADS * 2 * (TOKENS + TOKENS) * 4)
    assert transformers.forward("tiny", TOKENS, SMYRF, "smyrf") == MAPS + clustered


@pytest.mark.usefixtures("tiny_models")
def test_a_text_by_hand_and_as_torch_counts_its_training():
    settings = config_of("table=glue").text.encoder
    encoder = replace(settings, checkpoint="tiny", tokens=TOKENS, pool="mean", trained_layers=None)
    forward = MAPS + DENSE + 2 * WIDTH * CLASSES
    assert texts.text_flops(encoder, CLASSES, SMYRF, "softmax", None, train=False) == forward
    assert texts.text_flops(encoder, CLASSES, SMYRF, "softmax", None, train=True) == 3 * forward
    assert texts.text_flops(encoder, CLASSES, SMYRF, "softmax", "right", train=False) == forward
    assert texts.text_flops(encoder, CLASSES, SMYRF, "softmax", "released", train=False) == forward + DENSE
    model = Classifier(tiny("eager"), CLASSES, encoder)
    ids = torch.ones(1, TOKENS, dtype=torch.long)
    assert work.counted(lambda: model(ids, ids).sum().backward()) == 3 * forward


def convolution(inputs: int, outputs: int, kernel: int, side: int) -> int:
    return 2 * kernel**2 * inputs * outputs * side**2


def test_the_networks_of_a_gan_by_hand():
    """Latents of 4 a slice, a condition of 5 + 4; maps of 16, 16 and 8 channels on 4, 8 and 16 places; 256 queries of width 1."""
    generated = 2 * 4 * 16 * 16
    for (a, b), side in zip(itertools.pairwise([16, 16, 8]), (4, 8), strict=True):
        generated += 2 * 2 * 9 * (a + b) + convolution(a, b, 1, side)
        generated += convolution(a, b, 3, 2 * side) + convolution(b, b, 3, 2 * side)
    generated += convolution(8, 1, 1, 16) * 2 + convolution(8, 4, 1, 16) * 2 + convolution(8, 1, 3, 16)
    first, shortcut = convolution(1, 8, 3, 16), convolution(1, 8, 1, 8)  # which need no gradient of the picture
    scored = first + shortcut + convolution(8, 8, 3, 16) + 2 * 16
    scored += convolution(8, 16, 3, 8) + convolution(16, 16, 3, 8) + convolution(8, 16, 1, 4)
    found = generators.costs_of(SMALL)
    assert found.sizes == {"heads": 1, "n": 256, "m": 64, "d": 1, "e": 4}
    assert found.generated == generated
    assert found.discriminated == 3 * scored - first - shortcut
    assert (
        found.adversarial == 3 * generated - 2 * 4 * 16 * 16 + 2 * scored
    )  # no gradient of latents, none of the discriminator's weights


def test_attention_of_a_generator_is_as_torch_counts_it(monkeypatch):
    config = config_of("table=biggan_swap", "attention.name=softmax")
    config = replace(config, gan=replace(config.gan, network=SMALL))
    generator, label = Generator(SMALL, Attend("softmax")).eval(), torch.zeros(1, dtype=torch.long)

    def plain(q, k, v, scale):
        return (scale * q @ k.mT).softmax(-1) @ v

    monkeypatch.setattr("projects.smyrf.models.biggan.regard.functional.softmax", plain)
    costs, own = generators.gan_costs(config)
    assert work.counted(lambda: generator(torch.zeros(1, 12), label)) == costs.generated + own


def test_works_of_a_training_by_hand(monkeypatch):
    """Steps of 32 pictures: twice a discriminator's step on real and generated ones, once a generator's."""
    monkeypatch.setattr(
        generators, "costs_of", lambda network: Costs(1000, 200, 5000, {"heads": 1, "n": 4, "m": 1, "d": 1, "e": 2})
    )
    monkeypatch.setattr(work, "_known", {})
    own = 2 * 4 * 1 * (2 + 2)  # the kernel's one width
    config = config_of("table=celeba_training", "scale=paper", "attention.name=softmax")
    assert generators.of_trainings([config, config]) == 2 * [
        Work("generator steps", 120_000, 32 * (2 * (1000 + own + 2 * 200) + 5000 + 3 * own), gpu=True),
        Work("pictures generated", 5 * 30_000, 1000 + own),
        Work("pictures through Inception-v3", 30_000 + 5 * 2 * 30_000, generators.INCEPTION),
    ]
    config = config_of("table=biggan_swap", "scale=paper", "attention.name=softmax")
    assert generators.of_swaps([config]) == [
        Work("pictures generated", 50_000 + 21 * 50, 1000 + own),
        Work("pictures generated", 50_000, 1000 + own),
        Work("pictures through Inception-v3", 50_000 + 2 * 50_000, generators.INCEPTION),
    ]


def test_trainings_that_rows_share_are_counted_once():
    """GLUE's train splits have 949,098 texts and its development sets 69,640; IMDB has 22,500 and 25,000."""
    amounts = {
        table: work.merged(texts.of_texts(report.cells_of(table, ROOT))) for table in ("mask_bug", "imdb", "glue")
    }
    times = {table: [work.times for work in works] for table, works in amounts.items()}
    assert times["mask_bug"] == [2 * 5 * 3 * 22_500, 4 * 5 * 25_000]  # two orders of masks in training, four rows
    assert times["imdb"] == [
        7 * 5 * 3 * 22_500,
        13 * 5 * 25_000,
    ]  # two models, dense and SMYRF; and each other hash trained
    assert times["glue"] == [5 * 5 * 3 * 949_098, 5 * 5 * 69_640]


def test_works_of_models_that_are_not_trained_by_hand(monkeypatch):
    """A dense pass of 100 operations, one with SMYRF of 30; inputs and dense outputs are shared by rows of one seed."""
    passes = {"softmax": 100, "smyrf": 30}
    monkeypatch.setattr(analyses, "forward", lambda checkpoint, tokens, attention, name: passes[name])
    monkeypatch.setattr(analyses, "body", lambda *_: (0, SimpleNamespace(num_hidden_layers=12, num_attention_heads=3)))

    def passed(times, flops):
        return Work("passes of a model", times, flops)

    encoder = config_of("table=lsh_ablation", "scale=paper", "experiment=ablation_encoder")
    row = [passed(4, 100), passed(4, 30)]
    assert analyses.of_analysis([encoder, encoder], swapped=True) == [passed(4, 100), *row, *row]
    spectra = Work("spectra of maps", 4 * 12 * 3, analyses.svd_flops(512, 512))
    assert analyses.of_analysis([encoder], spectral=True) == [passed(4, 100), spectra]
    minilm = config_of("table=pretrained_swap", "scale=paper", "experiment=pretrained_minilm", "attention.name=smyrf")
    own = [passed(2520, 30), passed(20, 100)]
    assert analyses.of_pretrained([minilm, minilm]) == [*own, passed(2500, 100), passed(10_000, 100), *own]


def test_works_of_an_analysed_generator_by_hand(monkeypatch):
    sizes = {"heads": 1, "n": 4, "m": 1, "d": 1, "e": 2}
    monkeypatch.setattr(generators, "costs_of", lambda network: Costs(1000, 200, 5000, sizes))
    monkeypatch.setattr(work, "_known", {})
    config = config_of("table=singular_values", "scale=paper", "experiment=analysis_gan")
    found = analyses.of_analysis([config], spectral=True)
    own = 2 * 4 * 1 * (2 + 2)
    spectra = Work("spectra of maps", 8, analyses.svd_flops(4, 1))
    assert found == [Work("passes of a model", 8, 1000 + own), spectra]


def test_the_command_prints_the_table(monkeypatch, capsys):
    command = importlib.import_module("projects.smyrf.analyses.compute_budget.__main__")
    monkeypatch.setattr(command, "TABLES", {"glue": lambda cells: [Work("texts", 3, 2e15)]})
    monkeypatch.setattr(command, "cells_of", lambda table, root: [])
    monkeypatch.setattr("sys.argv", ["compute_budget"])
    assert command.main() == 0
    assert "| `glue` | texts | 3 | 2,000,000 | 6.00 | 0.17 | 0.04 | CPU |" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["compute_budget", "--help"])
    assert command.main() == 0
    assert "hours = operations" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["compute_budget", "glue"])
    assert command.main() == 2


def test_singular_values_and_sums_by_hand():
    assert analyses.svd_flops(3, 3) == 8 * 27 // 3
    assert analyses.svd_flops(5, 3) == 4 * 5 * 9 - 36
    works = [Work("a", 1, 10.0), Work("b", 1, 1.0), Work("a", 3, 2.0), Work("a", 1, 1.0, gpu=True)]
    assert work.merged(works) == [Work("a", 4, 4.0), Work("b", 1, 1.0), Work("a", 1, 1.0, gpu=True)]
    hour = 3600 * report.RATES["TF32"]
    assert report.amounts([Work("a", 2, hour)])[2] == "2.00"
    assert [report.short(value) for value in (0.001, 0.5, 12.34, 123.4, 12345)] == [
        "< 0.01",
        "0.50",
        "12.3",
        "123",
        "12,345",
    ]


def test_every_table_has_its_hours_or_is_timed_on_the_cpu():
    assert set(report.TABLES) | {"speed", "memory"} == set(PROJECT.tables(ROOT))


# -- sizes of the models that `paper` scale asks for


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("checkpoint", "expected"),
    [
        ("bert-base-uncased", 109_482_240),
        ("roberta-base", 124_645_632),
        ("sentence-transformers/all-MiniLM-L6-v2", 22_713_216),
        ("facebook/dinov2-small", 22_056_576),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008),
    ],
)
def test_the_hubs_models_have_their_published_sizes(checkpoint, expected):
    assert parameters(transformers.published(checkpoint)) == expected
    with pytest.raises(UserError, match="the sizes of gpt2 are not known here; known are bert-base-uncased"):
        transformers.published("gpt2")


def test_biggan_has_the_published_sizes():
    """Generator and discriminator of BigGAN at 128 × 128 as compare_gan's tests and the comments of BigGAN-PyTorch have
    them. Their discriminator attends on its 96 channels (θ and φ of 12, g and o of 48, γ); ours does not, as that of
    faces in the released code, and the swap needs none."""
    network = config_of("table=biggan_swap", "scale=paper").gan.network
    with torch.device("meta"):
        generator, discriminator = Generator(network, Attend("softmax")), Discriminator(network)
    assert parameters(generator) == 70_433_988
    assert parameters(discriminator) + 2 * 96 * 12 + 2 * 96 * 48 + 1 == 87_982_370


def test_the_generator_of_faces_by_hand():
    """Its published size is not known. One class, no shared embedding: gains and biases are tables of one row; the latent is not cut."""
    network = config_of("table=celeba_training", "scale=paper").gan.network
    with torch.device("meta"):
        generator = Generator(network, Attend("softmax"))
    expected = 120 * 1536 * 16 + 1536 * 16
    for a, b in itertools.pairwise([1536, 1536, 768, 384, 192, 96]):
        expected += 9 * a * b + b + 9 * b * b + b + a * b + b + 2 * (a + b)
    expected += 96 * 12 * 2 + 96 * 48 * 2 + 1 + 2 * 96 + 9 * 96 * 3 + 3  # attention on the last map, 96 channels
    assert parameters(generator) == expected


# -- the README


def rows_of(text: str) -> dict[str, list[list[str]]]:
    """The cells of each line of a Markdown table, by its first cell."""
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
        found.setdefault(first, []).append(rest)
    return found


@pytest.fixture(scope="module")
def printed() -> dict[str, list[list[str]]]:
    text = (ROOT / "projects/smyrf/README.md").read_text(encoding="utf-8")
    return rows_of(text.split("<!-- compute budget: begin -->")[1].split("<!-- compute budget: end -->")[0].strip())


@pytest.mark.parametrize("table", ["celeba_training", "mask_bug"])
def test_the_readme_has_the_hours_of_the_configs(table, printed, monkeypatch):
    """The others take half a minute to compose: `python -m projects.smyrf.analyses.compute_budget` prints them all."""
    monkeypatch.chdir(ROOT)
    works = work.merged(report.TABLES[table](report.cells_of(table, ROOT)))
    now = rows_of(report.report({table: works}))[f"`{table}`"]
    assert printed[f"`{table}`"] == now


def test_the_readmes_sums_are_those_of_its_lines(printed):
    def number(cell: str) -> float:
        return 0.0 if cell.startswith("<") else float(cell.replace(",", ""))

    assert {name.strip("`") for name in printed} == {*report.TABLES, "table", "---", "all"}
    for where, total in zip(("GPU", "CPU"), printed["all"], strict=True):
        lines = [line for name, lines in printed.items() if name.startswith("`") for line in lines if line[-1] == where]
        for place in (3, 4, 5):
            total_of_lines = sum(number(line[place]) for line in lines)
            assert number(total[place]) == pytest.approx(total_of_lines, rel=0.01, abs=0.05), (where, place)
    assert re.fullmatch(r"[\d,.]+", printed["all"][0][3])
