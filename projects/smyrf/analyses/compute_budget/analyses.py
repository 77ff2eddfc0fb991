"""Models as they are, not trained: the tables of the analysis, and `pretrained_swap`."""

from collections.abc import Iterable

from projects.smyrf.analyses.compute_budget.generators import gan_costs
from projects.smyrf.analyses.compute_budget.transformers import body, forward
from projects.smyrf.analyses.compute_budget.work import Work
from projects.smyrf.config import Config


def analysed(config: Config, name: str) -> int:
    """One pass of the model that a table analyses."""
    section = config.analysis
    assert section is not None
    if config.gan is not None:
        costs, own = gan_costs(config, name)
        return costs.generated + own
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
    """The tables of the analysis: a dense pass for all rows that share inputs; then per row, with `swapped`, a pass
    with SMYRF and all dense maps again, and, with `spectral`, the spectra."""
    works, seen = [], set()
    for config in cells:
        section = config.analysis
        assert section is not None
        dense = analysed(config, "softmax")
        if (key := (section.model, section.tokens, config.seed)) not in seen:
            seen.add(key)
            works.append(Work("passes of a model", section.examples, dense))
        if swapped:
            works.append(Work("passes of a model", section.examples, dense))
            works.append(Work("passes of a model", section.examples, analysed(config, "smyrf")))
        if spectral:
            works.append(spectra(config))
    return works


def of_pretrained(cells: Iterable[Config]) -> list[Work]:
    """Table `pretrained_swap`: a cell's own passes and the timed ones, dense outputs for all rows of a seed, and features for one probe per model."""
    works, seen = [], set()
    for config in cells:
        section = config.pretrained
        assert section is not None
        tokens = section.tokens + (section.reads == "pictures")  # its class token
        own, dense = (
            forward(section.checkpoint, tokens, config.attention, name) for name in (config.attention.name, "softmax")
        )
        works.append(Work("passes of a model", section.examples + section.timed, own))
        works.append(Work("passes of a model", section.timed, dense))
        for key, times in (
            ((section.checkpoint, config.seed), section.examples),
            (section.checkpoint, section.train_examples),
        ):
            if key not in seen and times:
                seen.add(key)
                works.append(Work("passes of a model", times, dense))
    return works
