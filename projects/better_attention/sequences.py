"""What only the models of sequences have: a row of Super whose W^A begin as the identity, and the time of one of their passes."""

import torch
from torch import Tensor, nn

from regard.bench.timing import elapsed_s

LATENCY_BATCH = 32  # as `learning.LATENCY_BATCH`
IDENTITY = "super_identity"  # Super whose W^A begin as the identity, that is, as Efficient; in `controls.py` for self attention alone


def library_name(attention: str) -> str:
    """The mechanism of the library that a row is built of."""
    return "super" if attention == IDENTITY else attention


def begin_mixing(module: nn.Module, attention: str) -> None:
    """Every W^A becomes the identity if the row is `IDENTITY`; after the module has set all its maps. Its bias is left at zero."""
    if attention == IDENTITY:
        for name, part in module.named_modules():
            if isinstance(part, nn.Linear) and name.rpartition(".")[2] == "mixing":
                nn.init.eye_(part.weight)


@torch.inference_mode()
def pass_ms(model: nn.Module, inputs: tuple[Tensor, ...], repeats: int) -> float:
    """Milliseconds of a forward pass on the first `LATENCY_BATCH` of `inputs`: the least of `repeats`, two calls before them to warm up."""
    model.eval()
    device = next(model.parameters()).device
    batch = [tensor[:LATENCY_BATCH].to(device) for tensor in inputs]
    times = [elapsed_s(lambda: model(*batch)) for _ in range(repeats + 2)]
    return 1e3 * min(times[2:])
