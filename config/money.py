"""Money: integer øre, one rounding, VAT inside prices, running remainders.

Rounding is half away from zero and therefore the same for −x as for x, so that a credit note mirrors its
invoice to the øre. Percentages are integers in basis points (1200 = 12 %).
"""

from __future__ import annotations

from collections.abc import Sequence

BASIS = 10_000


def divide(numerator: int, denominator: int) -> int:
    """Divide two integers, rounding half away from zero. ``denominator`` must be positive."""
    if denominator <= 0:
        raise ValueError("the denominator must be positive")
    quotient, remainder = divmod(abs(numerator), denominator)
    if remainder * 2 >= denominator:
        quotient += 1
    return quotient if numerator >= 0 else -quotient


def share(amount_ore: int, basis_points: int) -> int:
    """Return ``basis_points`` of ``amount_ore``, in øre (200 bp of 20000 øre is 400 øre)."""
    return divide(amount_ore * basis_points, BASIS)


def net_of_gross(gross_ore: int, vat_bp: int) -> int:
    """Return the net inside a gross sum that includes VAT: N = round(G·100 ÷ (100 + r)), in øre."""
    return divide(gross_ore * BASIS, BASIS + vat_bp)


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Spread ``total`` over ``weights`` by running remainder, so that the parts add up to ``total``.

    Used for line nets: weights are the lines' gross sums in øre, ``total`` the net of their sum. Weights
    whose sum is zero give the whole total to the last part.
    """
    if not weights:
        return []
    whole = sum(weights)
    if whole == 0:
        return [0] * (len(weights) - 1) + [total]
    sign = 1 if whole > 0 else -1
    parts, seen, given = [], 0, 0
    for weight in weights:
        seen += weight
        upto = divide(total * seen * sign, abs(whole))
        parts.append(upto - given)
        given = upto
    return parts
