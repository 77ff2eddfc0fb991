import pytest

from regard_lab.evidence.samples import Short, amount, capital, samples, spread, subject
from regard_lab.evidence.statistics import mean_interval
from regard_lab.experiment.table_file import Column
from tests.regard_lab.evidence.claim_samples import NEW, OLD, claim, two


def test_paired_samples_hold_the_shared_seeds() -> None:
    evidence = two([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert samples(claim("better"), evidence, [NEW, OLD], paired=True) == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    with pytest.raises(Short, match="at least 4 are needed"):
        samples(claim("better"), evidence, [NEW], paired=False, least=4)


def test_words() -> None:
    assert [amount(1.0, "points"), amount(0.02, "nats"), amount(1877), amount(2.3, "×")] == [
        "1 point",
        "0.02 nats",
        "1,877",
        "2.3 ×",
    ]
    assert [capital("speed"), capital("τ with raw")] == ["Speed", "τ with raw"]
    label = Column("accuracy", "kept, total variation", "")
    assert subject(claim("bound", column=label)) == "Kept, total variation, of new"
    assert spread(mean_interval([1.0, 1.0]), "s", "p = 1") == ("the same each time", "no interval")
