"""How many of the places that all stores share one may take: fewer, the fewer are left."""

from __future__ import annotations


def has_room(own: int, together: int, *, own_max: int, together_max: int) -> bool:
    """Return whether a store may take one more place.

    A store alone may have `own_max`. Every store's share shrinks with what all of them have, so that several
    which are flooded at once never take the last place, and who asks for little finds one:
    n of them leave (together_max - own_max) / (together_max - own_max + n * own_max) of all.

    Args:
        own: the places that it has.
        together: those that all stores have.
        own_max, together_max: their bounds, 1 and up, own_max <= together_max; where they are equal one store
            may have all.
    Source: dynamic queue length thresholds, by which a switch shares its buffer (Choudhury and Hahne, 1998);
        docs/decisions/0035.
    """
    return own * (together_max - own_max) < own_max * (together_max - together)
