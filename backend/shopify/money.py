"""Shopify's decimal amounts → integer minor units, by the currency's own number of digits (ISO 4217). Pure."""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

NO_DIGITS = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF"}
    | {"XOF", "XPF"}
)
THREE_DIGITS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
USUAL_DIGITS = 2
MAX_AMOUNT = Decimal(10) ** 15
"""Beyond it a sum would leave 64 bits, and no order is worth as much."""


class BadAmount(ValueError):
    """Not an amount of money."""


def digits_of(currency: str) -> int:
    if currency in NO_DIGITS:
        return 0
    return 3 if currency in THREE_DIGITS else USUAL_DIGITS


def minor_units(amount: str, currency: str) -> int:
    """`"12.50", "EUR"` → 1250; what is finer than the currency is rounded half to even, as banks do."""
    try:
        value = Decimal(amount)
    except InvalidOperation as error:
        raise BadAmount(f"{amount!r} is not an amount") from error
    if not value.is_finite() or abs(value) > MAX_AMOUNT:
        raise BadAmount(f"{amount!r} is not an amount")
    return int(value.scaleb(digits_of(currency)).to_integral_value(ROUND_HALF_EVEN))
