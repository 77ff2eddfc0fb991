"""What the tables take at `paper` scale on one GPU, by arithmetic: python -m projects.smyrf.hours

    hours = operations of a piece of work · how often the configs ask for it / a sustained rate

Operations are those of matrix products and convolutions, 2 a multiply-add. What a model has beside attention is counted by torch's FlopCounterMode
on the modules that the composed configs build, without memory (device "meta"); attention is added by its formula (`regard.cost`), its backward pass
as twice the forward one. Texts are taken as long as the cut, which real ones are not. Not counted, and not free: sorting and gathering, norms,
reading data, the power iterations of spectral norms. So these are orders of magnitude, and tell nothing of SMYRF's own speed.
"""

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from projects.smyrf.gan.config import Gan
from projects.smyrf.gan.networks import Attend, Discriminator, Generator
from projects.smyrf.gan.recipe import Network
from projects.smyrf.project import PROJECT, Attention, Config
from projects.smyrf.text.cell import trained_of
from projects.smyrf.text.config import Finetuning
from projects.smyrf.text.model import Classifier
from regard.registry import mechanism_class
from regard_lab import data
from regard_lab.config import as_overrides, compose, compose_rows, typed
from regard_lab.errors import UserError, command

# Of an A100: operations a second at most (NVIDIA's data sheet: 19.5 TFLOPS in float32, 156 in TF32), and the share that is sustained [our choice].
RATES = {"float32": 0.5 * 19.5e12, "TF32": 0.3 * 156e12}
INCEPTION = (
    2 * 5.713e9
)  # Inception-v3 on 299 × 299 pixels: 5.713 · 10⁹ multiply-adds, by torchvision's page of its weights
NOTHING = "smyrf-hours"  # the name that transformers knows `nothing` by
_known: dict[Any, Any] = {}


@dataclass(frozen=True)
class Work:
    """A piece of work that is done `times`, of `flops` each. `gpu`: where there is a GPU the code takes it for this, else it stays on the CPU."""

    what: str
    times: int
    flops: float
    gpu: bool = False


def once(key: Any, make: Callable[[], Any]) -> Any:
    """What `make` gives, made once for a key: configs are no keys, their words are."""
    if key not in _known:
        _known[key] = make()
    return _known[key]


def counted(run: Callable[[], object]) -> int:
    """The operations of a call, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def attention_flops(name: str, attention: Attention, sizes: dict[str, int], pattern: str = "noncausal_self") -> int:
    """One forward pass of softmax attention or SMYRF (`name`) on split heads, its maps left out; `sizes` are heads, n, m, d, e."""
    options: dict[str, Any] = {}
    if name == "smyrf":
        options = {key: getattr(attention, key) for key in ("rounds", "cluster_size", "scheme")} | {"pattern": pattern}
    return int(mechanism_class(name).mix_flops(**sizes, **options))


# -- models of transformers


def published(checkpoint: str) -> Any:
    """A model that the configs ask the hub for, on the device "meta", with the sizes of its published config and `nothing` for attention."""
    import transformers as hf

    hf.AttentionInterface.register(NOTHING, nothing)
    hf.AttentionMaskInterface.register(NOTHING, lambda *positional, **named: None)
    small: dict[str, Any] = {"hidden_size": 384, "intermediate_size": 1536}
    llama: dict[str, Any] = {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
        "use_cache": False,
    }
    roberta: dict[str, Any] = {"vocab_size": 50_265, "max_position_embeddings": 514, "type_vocab_size": 1}
    dinov2: dict[str, Any] = {"hidden_size": 384, "num_attention_heads": 6, "image_size": 518, "patch_size": 14}
    makers: dict[str, Callable[[], Any]] = {
        "bert-base-uncased": lambda: hf.BertModel(hf.BertConfig()),
        "roberta-base": lambda: hf.RobertaModel(hf.RobertaConfig(**roberta)),
        "sentence-transformers/all-MiniLM-L6-v2": lambda: hf.BertModel(hf.BertConfig(num_hidden_layers=6, **small)),
        "facebook/dinov2-small": lambda: hf.Dinov2Model(hf.Dinov2Config(**dinov2)),
        "HuggingFaceTB/SmolLM2-135M-Instruct": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**llama)),
    }
    if checkpoint not in makers:
        raise UserError(f"the sizes of {checkpoint} are not known here; known are {', '.join(makers)}")
    with torch.device("meta"):
        model = makers[checkpoint]()
    model.set_attn_implementation(NOTHING)
    return model


def nothing(module: nn.Module, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, **others: Any) -> Any:
    """In the place of attention: its shape, gradients to all three maps, no products."""
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    return (q + k + v).transpose(1, 2), None


def of_layers(config: Any, tokens: int, attention: Attention, name: str) -> int:
    """The attention of all layers of a model of transformers, forward."""
    heads, d = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    pattern = "causal_self" if config.model_type == "llama" else "noncausal_self"
    each = attention_flops(name, attention, {"heads": heads, "n": tokens, "m": tokens, "d": d, "e": d}, pattern)
    return int(config.num_hidden_layers * each)


def body(checkpoint: str, tokens: int) -> tuple[int, Any]:
    """A forward pass over so many tokens (a text's, or a picture's patches and its class token) beside attention, and the model's config."""

    def count() -> tuple[int, Any]:
        model = published(checkpoint)
        ids = torch.ones(1, tokens, dtype=torch.long, device="meta")
        given = {"input_ids": ids, "attention_mask": ids}
        if model.main_input_name == "pixel_values":
            side = math.isqrt(tokens - 1) * model.config.patch_size
            given = {"pixel_values": torch.zeros(1, 3, side, side, device="meta")}
        with torch.no_grad():
            return counted(lambda: model(**given)), model.config

    found: tuple[int, Any] = once((checkpoint, tokens), count)
    return found


def forward(checkpoint: str, tokens: int, attention: Attention, name: str) -> int:
    """The same, with attention."""
    rest, config = body(checkpoint, tokens)
    return rest + of_layers(config, tokens, attention, name)


# -- texts


def text_flops(
    tuning: Finetuning, classes: int, attention: Attention, name: str, mask: str | None, *, train: bool
) -> int:
    """One text as long as the cut. With masks in the released order attention runs twice, on what they keep and on what they drop."""

    def count() -> tuple[int, Any]:
        with torch.device("meta"):
            model = Classifier(published(tuning.model), 1, tuning)
            ids = torch.ones(1, tuning.tokens, dtype=torch.long)
        if train:
            return counted(lambda: model(ids, ids).sum().backward()), model.encoder.config
        with torch.no_grad():
            return counted(lambda: model(ids, ids)), model.encoder.config

    rest, config = once((tuning.model, tuning.pool, tuning.tokens, tuning.trained_layers, train), count)
    more_outputs = (classes - 1) * 2 * config.hidden_size
    attended = of_layers(config, tuning.tokens, attention, name) * (2 if mask == "released" else 1)
    return int(rest + (3 if train else 1) * (more_outputs + attended))


def examples(config: Config, name: str, split: str, most: int | None = None) -> int:
    """The rows of a split, by the data set's card."""
    size = data.card(name).source(config.data.source).sizes[split]
    return size if most is None else min(size, most)


def of_texts(cells: Iterable[Config]) -> list[Work]:
    """Tables `glue`, `imdb`, `mask_bug`: trainings, each once however many rows share it, and held-out splits."""
    found, trained = [], set()
    for config in cells:
        text, attention = config.text, config.attention
        assert text is not None
        tuning = text.finetuning
        for task in text.tasks.values():
            if (key := repr(trained_of(config, task))) not in trained:
                trained.add(key)
                rows = tuning.epochs * examples(config, task.data, task.train, tuning.train_examples)
                flops = text_flops(tuning, task.classes, attention, attention.name, text.training_mask, train=True)
                found.append(Work("texts, forward and backward", rows, flops, gpu=True))
            name = text.inference or attention.name
            flops = text_flops(tuning, task.classes, attention, name, text.inference_mask, train=False)
            rows = sum(examples(config, task.data, split, text.held_out_examples) for split in task.held_out.values())
            found.append(Work("texts, forward", rows, flops, gpu=True))
    return found


# -- generators


class Nothing(nn.Module):
    """In the place of a generator's attention; keeps the sizes of what it is given."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.sizes = {"heads": 1, "n": q.shape[2], "m": k.shape[2], "d": q.shape[3], "e": v.shape[3]}
        return v.mean(2, keepdim=True) + q.mean(3, keepdim=True) + k.mean((2, 3), keepdim=True)


@dataclass(frozen=True)
class Costs:
    """Of one picture, beside attention: making it; the discriminator on it, forward and backward to its own weights; both networks, forward and
    backward to the generator's weights. `sizes` are those of its attention."""

    made: int
    discriminated: int
    adversarial: int
    sizes: dict[str, int]


def costs_of(network: Network) -> Costs:
    """Counted on the two networks."""
    with torch.device("meta"):
        generator, discriminator = Generator(network, Attend("softmax")).eval(), Discriminator(network).eval()
        latent, label = torch.zeros(1, network.latent), torch.zeros(1, dtype=torch.long)
    nowhere = Nothing()
    generator.attention.attend = nowhere  # type: ignore[assignment]
    with torch.no_grad():
        picture = generator(latent, label)
        made = counted(lambda: generator(latent, label))
    discriminated = counted(lambda: discriminator(picture, label).sum().backward())
    discriminator.requires_grad_(False)
    adversarial = counted(lambda: discriminator(generator(latent, label), label).sum().backward())
    return Costs(made, discriminated, adversarial, nowhere.sizes)


def gan_costs(config: Config, name: str | None = None) -> tuple[Costs, int]:
    """The costs of a cell's networks, and its attention's own on a picture, forward."""
    assert config.gan is not None
    costs: Costs = once(repr(config.gan.network), lambda: costs_of(config.gan.network))  # type: ignore[union-attr]
    sizes, name = dict(costs.sizes), name or config.attention.name
    if name == "softmax":  # the fused kernel wants one width, see `networks.Attend`
        sizes["d"] = max(sizes["d"], sizes["e"])
    return costs, attention_flops(name, config.attention, sizes)


def of_swaps(cells: Iterable[Config]) -> list[Work]:
    """Table `biggan_swap` with released weights: each cell makes its pictures, and those of dense attention to compare them with."""
    found = []
    for config in cells:
        gan = gan_of(config)
        (costs, own), (_, dense) = gan_costs(config), gan_costs(config, "softmax")
        timed = (gan.evaluation.timings + 1) * gan.evaluation.batch_size
        found.append(Work("pictures made", gan.evaluation.images + timed, costs.made + own))
        found.append(Work("pictures made", gan.evaluation.images, costs.made + dense))
        found.append(judged(config, sets=1))
    return found


def of_trainings(cells: Iterable[Config]) -> list[Work]:
    """Table `celeba_training`: every cell a training, its snapshots scored. A step is `discriminator_steps` of the discriminator and one more."""
    found = []
    for config in cells:
        gan = gan_of(config)
        training, (costs, own) = gan.training, gan_costs(config)
        parts = training.discriminator_steps * (
            costs.made + own + 2 * costs.discriminated
        )  # real pictures and made ones
        step = training.batch_size * (parts + costs.adversarial + 3 * own)
        found.append(Work("generator steps", training.chunks * training.chunk_steps, step, gpu=True))
        found.append(Work("pictures made", training.snapshots * gan.evaluation.images, costs.made + own))
        found.append(judged(config, sets=training.snapshots))
    return found


def gan_of(config: Config) -> Gan:
    assert config.gan is not None
    return config.gan


def judged(config: Config, sets: int) -> Work:
    """Inception-v3 on the real pictures once and on each set of made ones twice: once for the distance and once for the score."""
    evaluation = gan_of(config).evaluation
    real = examples(config, config.data.name, evaluation.reference)
    return Work("pictures through Inception-v3", real + sets * 2 * evaluation.images, INCEPTION)


# -- models as they are


def analysed(config: Config, name: str) -> int:
    """One pass of the model that a table of the analysis looks at."""
    section = config.analysis
    assert section is not None
    if config.gan is not None:
        costs, own = gan_costs(config, name)
        return costs.made + own
    return forward(str(section.checkpoint), section.tokens, config.attention, name)


def svd_flops(n: int, m: int) -> int:
    """Singular values of an n × m matrix, n ≥ m: its bidiagonal form, 4 n m² − 4 m³ / 3 (Golub & Van Loan, "Matrix Computations")."""
    return 4 * n * m**2 - 4 * m**3 // 3


def spectra(config: Config) -> Work:
    """The singular values of every map of every head, on all inputs of a cell."""
    section = config.analysis
    assert section is not None
    if config.gan is not None:
        sizes = gan_costs(config)[0].sizes
        return Work("spectra of maps", section.examples, svd_flops(sizes["n"], sizes["m"]))
    of = body(str(section.checkpoint), section.tokens)[1]
    maps = section.examples * of.num_hidden_layers * of.num_attention_heads
    return Work("spectra of maps", maps, svd_flops(section.tokens, section.tokens))


def of_analysis(cells: Iterable[Config], *, swapped: bool = False, spectral: bool = False) -> list[Work]:
    """The tables of the analysis: a dense pass for all rows that share inputs; then, a row, with `swapped` a pass with SMYRF and all dense maps
    again, with `spectral` the spectra."""
    found, seen = [], set()
    for config in cells:
        section = config.analysis
        assert section is not None
        dense = analysed(config, "softmax")
        if (key := (section.model, section.tokens, config.seed)) not in seen:
            seen.add(key)
            found.append(Work("passes of a model", section.examples, dense))
        if swapped:
            found.append(Work("passes of a model", section.examples, dense))
            found.append(Work("passes of a model", section.examples, analysed(config, "smyrf")))
        if spectral:
            found.append(spectra(config))
    return found


def of_pretrained(cells: Iterable[Config]) -> list[Work]:
    """Table `pretrained_swap`: a cell's own passes and the timed ones, dense outputs for all rows of a seed, features for a probe a model."""
    found, seen = [], set()
    for config in cells:
        section = config.pretrained
        assert section is not None
        tokens = section.tokens + (section.reads == "pictures")  # its class token
        own, dense = (
            forward(section.checkpoint, tokens, config.attention, name) for name in (config.attention.name, "softmax")
        )
        found.append(Work("passes of a model", section.examples + section.timed, own))
        found.append(Work("passes of a model", section.timed, dense))
        for key, times in (
            ((section.checkpoint, config.seed), section.examples),
            (section.checkpoint, section.train_examples),
        ):
            if key not in seen and times:
                seen.add(key)
                found.append(Work("passes of a model", times, dense))
    return found


# -- all of it

TABLES: dict[str, Callable[[list[Config]], list[Work]]] = {
    "biggan_swap": of_swaps,
    "celeba_training": of_trainings,
    "glue": of_texts,
    "imdb": of_texts,
    "mask_bug": of_texts,
    "lsh_ablation": lambda cells: of_analysis(cells, swapped=True),
    "singular_values": lambda cells: of_analysis(cells, spectral=True),
    "sparsity": of_analysis,
    "cluster_membership": of_analysis,
    "pretrained_swap": of_pretrained,
}


def cells_of(table: str, root: Path) -> list[Config]:
    """The configs of every row and seed of a table at `paper` scale."""
    base = [f"table={table}", "scale=paper"]
    spec = compose(PROJECT.conf(root), base).table
    assert spec is not None
    rows = compose_rows(PROJECT.conf(root), base, [as_overrides(key, spec.vary) for key in spec.rows])
    configs = [typed(Config, row.config) for row in rows]
    return [replace(config, seed=seed) for config in configs for seed in range(spec.seeds)]


def together(works: Iterable[Work]) -> list[Work]:
    """One work of each kind: as often as all of its kind, with their mean of operations."""
    kinds: dict[tuple[str, bool], list[Work]] = {}
    for work in works:
        kinds.setdefault((work.what, work.gpu), []).append(work)
    return [
        Work(what, times := sum(one.times for one in own), sum(one.times * one.flops for one in own) / times, gpu)
        for (what, gpu), own in kinds.items()
    ]


def report(tables: dict[str, list[Work]]) -> str:
    """The works of each table in a Markdown table, and their sums."""
    lines = [
        ["table", "work", "times", "GFLOP each", "PFLOP", *(f"hours in {rate}" for rate in RATES), "where it runs"],
    ]
    for table, works in tables.items():
        for work in works:
            cells = [f"`{table}`", work.what, f"{work.times:,}", short(work.flops / 1e9), *amounts([work])]
            lines.append([*cells, "GPU" if work.gpu else "CPU"])
    for gpu in (True, False):
        works = [work for own in tables.values() for work in own if work.gpu == gpu]
        lines.append(["all", "", "", "", *amounts(works), "GPU" if gpu else "CPU"])
    lines.insert(1, ["---", "---", *["---:"] * (len(lines[0]) - 3), "---"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def amounts(works: list[Work]) -> list[str]:
    """Their operations together in 10¹⁵, and the hours at each rate."""
    total = sum(work.times * work.flops for work in works)
    return [short(total / 1e15), *(short(total / rate / 3600) for rate in RATES.values())]


def short(value: float) -> str:
    """Three digits; whole where there are more, and no more than two places."""
    return (
        "< 0.01"
        if value < 0.01
        else f"{value:,.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
    )


@command
def main() -> int:
    if sys.argv[1:]:
        print(__doc__)
        return 0 if set(sys.argv[1:]) <= {"-h", "--help"} else 2
    print(report({table: together(works(cells_of(table, Path.cwd()))) for table, works in TABLES.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
