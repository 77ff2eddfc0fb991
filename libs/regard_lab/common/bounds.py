"""Bounds on fields of several schemas, beside pydantic's own (`PositiveInt`, `NonNegativeFloat`)."""

from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, lt=1)]
"""A share below 1, such as that of the activations that dropout zeroes."""
