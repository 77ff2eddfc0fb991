"""Shakespeare: markup goes, and no play stands in two splits."""

import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import shakespeare


def test_a_play_loses_its_markup_and_keeps_its_lines():
    text = "# Macbeth\n\n## ACT I\n\n_Enter MACBETH_\n\n**MACBETH**  \nSo foul and fair a day  \nI have not seen.\n"
    assert shakespeare.plain(text) == "Macbeth\nACT I\nEnter MACBETH\nMACBETH\nSo foul and fair a day\nI have not seen."


def test_every_play_is_in_one_split():
    held_out = [name for names in shakespeare.HELD_OUT.values() for name in names]
    plays = [(name, f"**{name}**") for name in ("othello", *held_out)]
    splits = shakespeare.split(plays)
    assert splits["train"].texts == ["othello"]
    assert splits["test"].texts == ["as-you-like-it", "henry-v", "king-lear"]
    labels = [label for part in splits.values() for label in part.labels.tolist()]
    assert sorted(labels) == list(range(7))
    with pytest.raises(UserError, match="there is no play 'macbeth' among 6: it belongs to validation"):
        shakespeare.split([play for play in plays if play[0] != "macbeth"])
