"""Household power: minutes become hours, in either way of writing what is missing."""

from regard_lab.data.sets import household_power


def test_household_power_by_hand():
    lines = ["Date,Time,power,volts"]
    lines += [f"16/12/2006,{hour:02}:{minute:02}:00,{hour},2" for hour in range(10) for minute in (0, 30)]
    lines[2] = "16/12/2006,00:30:00,?,"  # missing, in both ways that the set has
    splits = household_power.hourly("\n".join(lines), ",")
    assert {split: part.values[:, 0].tolist() for split, part in splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "validation": [6, 7],
        "test": [8, 9],
    }
    assert splits["train"].columns == ["power", "volts"]
    assert splits["train"].times[0] == 1_166_227_200  # 2006-12-16
