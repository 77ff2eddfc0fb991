"""Where models are run: on the accelerator of this machine (a GPU, as a rule) if it has one, on the CPU otherwise."""

import torch


def best_device(*, float64: bool = False) -> torch.device:
    """The device for heavy work: training uses it by itself, evaluation and analyses move their model and inputs there.

    Args:
        float64: Whether the device must support double precision, which Apple's GPUs do not.
    """
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return torch.device("cpu") if device is None or (float64 and device.type == "mps") else device
