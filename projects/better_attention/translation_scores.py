"""BLEU and chrF of a corpus as sacrebleu defines them, by torchmetrics, each with the signature that says how it was computed."""

from collections.abc import Sequence

import torchmetrics
from torchmetrics.functional.text import chrf_score, sacre_bleu_score

_VERSION = f"version:torchmetrics-{torchmetrics.__version__}"
BLEU_SIGNATURE = f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:none|{_VERSION}"
CHRF_SIGNATURE = f"nrefs:1|case:mixed|eff:no|nc:6|nw:0|space:no|{_VERSION}"


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU in %, n-grams up to 4, tokens of mteval's 13a, letter case kept, not smoothed (Papineni et al. 2002; Post 2018)."""
    found = sacre_bleu_score(hypotheses, [[text] for text in references], tokenize="13a", lowercase=False)
    return 100 * float(found)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF2 in %: the mean F₂ of n-grams of 1 to 6 characters, no words, spaces left out (Popović 2015)."""
    found = chrf_score(hypotheses, [[text] for text in references], n_char_order=6, n_word_order=0, beta=2.0)
    return 100 * float(found)
