"""Official halves of an image set as three splits that share no image."""

from regard_lab.common.errors import UserError
from regard_lab.data.images import Images


def three_splits(train: Images, test: Images, validation: int, name: str) -> dict[str, Images]:
    """Hold out the last `validation` images of the train half; the test half stays as it is.

    Images of the train half that are also in the test half are dropped, and so are remaining training images that are
    also in validation. Repeats within a split stay, as they are part of the set.

    Args:
        train: The official train half.
        test: The official test half.
        validation: How many images to hold out.
        name: The set's name, for the message.

    Raises:
        UserError: The train half has too few images.
    """
    train = without(train, test)
    if len(train) <= validation:
        raise UserError(f"{name}'s train half has {len(train):,} images, too few to keep {validation:,} for validation")
    held_out = train[-validation:]
    return {"train": without(train[:-validation], held_out), "validation": held_out, "test": test}


def without(images: Images, others: Images) -> Images:
    """Images not contained in `others`, in their order."""
    known = set(others.keys())
    kept = [key not in known for key in images.keys()]  # noqa: SIM118 (a split has one key per image)
    return Images(images.images[kept], images.labels[kept])
