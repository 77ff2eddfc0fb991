"""Where models are run: on the accelerator of this machine (a GPU, as a rule) if it has one, on the CPU otherwise."""

import torch


def best_device() -> torch.device:
    """The device for whatever is heavy: training does it by itself, evaluation and analyses move their model and its inputs there."""
    if torch.accelerator.is_available() and (device := torch.accelerator.current_accelerator()) is not None:
        return device
    return torch.device("cpu")
