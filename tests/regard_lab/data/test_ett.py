"""What the sets of ETT share."""

from regard_lab.data.ett import card, sizes


def test_months_have_thirty_days_of_as_many_steps_as_there_are() -> None:
    assert sizes(per_hour=4) == {"train": 34_560, "validation": 11_520, "test": 11_520}


def test_a_card_names_the_set_its_file_and_what_is_in_it() -> None:
    about = card("ETTh2", steps=17_420, every="every hour", splits=sizes(per_hour=1))
    assert about.name == "etth2"
    assert about.source("folder").where == "ETTh2.csv of the folder ETT-small"
    assert "every hour. Of 17,420 steps" in about.note
