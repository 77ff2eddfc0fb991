"""Bounds that several schemas set on their fields; pydantic's own names stand beside them (`PositiveInt`, `NonNegativeFloat`)."""

from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0, lt=1)]
"""A share of a whole that leaves some of it, such as that of activations that dropout zeroes."""
