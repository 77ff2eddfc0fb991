"""Pairs of texts: read back as they were written."""

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.pairs import Pairs


def test_a_line_that_is_no_pair_is_refused(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"source": "a", "target": "b"}\n{"source": "a"}\n')
    with pytest.raises(UserError, match=r"line 2 of .*train\.jsonl is not"):
        Pairs.read(tmp_path, "train")
    with pytest.raises(UserError, match=r"train\.jsonl, validation\.jsonl and test\.jsonl"):
        Pairs.read(tmp_path / "none", "train")
