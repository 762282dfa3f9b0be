import pytest

from backend.shopify.money import BadAmount, minor_units


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.50", "EUR", 1250),
        ("12.5", "EUR", 1250),
        ("1000.0", "JPY", 1000),
        ("1.234", "KWD", 1234),
        ("0.005", "EUR", 0),
        ("0.015", "EUR", 2),
        ("12.345", "EUR", 1234),
        ("12.355", "EUR", 1236),
        ("-3.10", "EUR", -310),
        ("0", "EUR", 0),
        ("99999999999.99", "EUR", 9_999_999_999_999),
    ],
)
def test_by_the_digits_of_the_currency(amount: str, currency: str, minor: int) -> None:
    assert minor_units(amount, currency) == minor


@pytest.mark.parametrize("amount", ["", "ten", "NaN", "Infinity", "1e300", "12,50"])
def test_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(BadAmount):
        minor_units(amount, "EUR")
