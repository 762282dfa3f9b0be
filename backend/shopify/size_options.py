"""Which option of a product is the size, and how its values meet the sizes of a chart. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

import msgspec

NAMES = frozenset(
    {"size", "sizes", "taille", "tailles", "pointure", "grosse", "groesse", "talla", "tallas", "tamano", "taglia"}
    | {"misura", "サイズ", "大きさ", "寸法"}
)
"""In the six languages, folded: en, fr, de, es, it, ja."""
_LETTER = r"(\d{1,2}|x{0,5})?(xs|s|m|l|xl)"
_SIZE = re.compile(rf"{_LETTER}(-?{_LETTER})?|[a-z]{{0,2}}-?\d{{2,3}}(-\d{{2,3}})?")
_SPACE = re.compile(r"[\s/_.–—-]+")
MIN_SHARE = 2 / 3
"""Of an option's values that must look like sizes before it is taken for one."""


class Option(msgspec.Struct, frozen=True):
    name: str
    values: tuple[str, ...]


class Attention(msgspec.Struct, frozen=True):
    """Something that the merchant should look at, with the sizes it is about."""

    code: str
    sizes: tuple[str, ...] = ()


def find_size_option(options: Sequence[Option]) -> str | None:
    """By name, else by values when one option alone has such; None: the merchant is asked."""
    named = [option.name for option in options if _words(option.name) & NAMES]
    if len(named) == 1:
        return named[0]
    valued = [option.name for option in options if _looks_like_sizes(option.values)]
    return valued[0] if len(valued) == 1 and not named else None


def fold(text: str) -> str:
    """For comparing names that people wrote: case, accents, width and spaces do not count."""
    wide = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in wide if not unicodedata.combining(letter) or "぀" <= letter <= "ヿ")
    return _SPACE.sub("-", unicodedata.normalize("NFKC", bare).strip())


def common_sizes(option_values: Iterable[str], chart_sizes: Iterable[str]) -> list[str]:
    """Of the chart, in its order."""
    sold = {fold(value) for value in option_values}
    return [size for size in chart_sizes if fold(size) in sold]


def compare(option_name: str | None, option_values: Sequence[str], chart_sizes: Sequence[str]) -> list[Attention]:
    """What does not fit together; nothing when all is well."""
    if option_name is None:
        return [Attention("size_option_unknown")]
    charted, sold = {fold(size) for size in chart_sizes}, {fold(value) for value in option_values}
    found = []
    without_option = tuple(size for size in chart_sizes if fold(size) not in sold)
    without_chart = tuple(value for value in option_values if fold(value) not in charted)
    if without_option:
        found.append(Attention("chart_size_without_option", without_option))
    if without_chart:
        found.append(Attention("option_without_chart_size", without_chart))
    return found


def _words(name: str) -> set[str]:
    folded = fold(name)
    return {folded, *re.split(r"[^\w]+", folded)}


def _looks_like_sizes(values: Sequence[str]) -> bool:
    fitting = sum(_SIZE.fullmatch(fold(value)) is not None for value in values)
    return len(values) > 1 and fitting / len(values) >= MIN_SHARE
