"""Numbers as a figure says them, in Python as in its script."""

from decimal import ROUND_HALF_UP, Decimal


def fixed(number: float, digits: int) -> str:
    """As JavaScript's toFixed: a half goes up, where Python's own formatting takes it to the even digit."""
    exact = Decimal(float(number) + 0.0)  # JavaScript shows no -0
    return str(exact.quantize(Decimal(10) ** -digits, ROUND_HALF_UP))


def percents(low: float, high: float, shares: tuple[float, ...]) -> tuple[str, ...]:
    """Shares from a narrow range as "49.8 %", with as many digits as tell its ends apart: as `percents` of common.js."""
    digits = sum(high - low < each for each in (0.1, 0.01, 0.001))
    return tuple(f"{fixed(100 * share, digits)} %" for share in shares)


def percent(share: float) -> str:
    """A share as "40 %", a small one as "4.0 %": as `percent` of common.js."""
    return f"{fixed(100 * share, 1 if share < 0.0995 else 0)} %"
