"""BLEU and chrF of a corpus by sacrebleu (Post 2018), each with the signature that says how it was computed."""

from collections.abc import Sequence

from sacrebleu.metrics import BLEU, CHRF


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU in % with sacrebleu's defaults: tokens of 13a, letter case kept, smoothed where an order has no hit (Papineni et al. 2002)."""
    return float(BLEU().corpus_score(list(hypotheses), [list(references)]).score)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF2 in % with sacrebleu's defaults: up to 6 characters, no words, spaces left out (Popović 2015)."""
    return float(CHRF().corpus_score(list(hypotheses), [list(references)]).score)


def signatures(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, str]:
    """sacrebleu's own signatures of the two, version included; it gives them once something was scored."""
    found = {}
    for name, metric in {"bleu": BLEU(), "chrf": CHRF()}.items():
        metric.corpus_score(list(hypotheses), [list(references)])
        found[name] = str(metric.get_signature())
    return found
