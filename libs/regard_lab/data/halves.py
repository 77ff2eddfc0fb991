"""Official halves of an image set as three splits that share no image."""

from regard_lab.common.errors import UserError
from regard_lab.data.images import Images


def three_splits(train: Images, test: Images, validation: int, name: str) -> dict[str, Images]:
    """The last `validation` images of the train half are held out; the test half stays as it is.

    An image of the train half that stands in the test half too is left out, and one of the rest that stands in validation. Repeats inside a
    split stay: they are the set's own.
    """
    train = without(train, test)
    if len(train) <= validation:
        raise UserError(f"{name}'s train half has {len(train):,} images, too few to keep {validation:,} for validation")
    held_out = train[-validation:]
    return {"train": without(train[:-validation], held_out), "validation": held_out, "test": test}


def without(images: Images, others: Images) -> Images:
    """The images that stand not among the others, in their order."""
    known = set(others.keys())
    kept = [key not in known for key in images.keys()]  # noqa: SIM118 (a split's keys are one an image)
    return Images(images.images[kept], images.labels[kept])
