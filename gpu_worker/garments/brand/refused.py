"""The one exception with which a brand's file is turned away."""

from collections.abc import Mapping
from typing import Literal

Code = Literal["garment_invalid", "garment_unclear", "does_not_fit"]


class BrandRefused(Exception):
    """A brand's file that cannot be used, or a body that it cannot be put on. Never retried.

    code        : `garment_invalid` the file is at fault; `garment_unclear` it could mean two things and we ask;
                  `does_not_fit` no size goes on this body
    field       : where in the file, as its own format names it, or what was judged (`scale`, `overlap`)
    reason      : one sentence for the brand
    picture_png : what was seen, where that says more than words
    """

    def __init__(
        self, field: str, reason: str, *, code: Code = "garment_invalid", picture_png: bytes | None = None
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.field = field
        self.reason = reason
        self.picture_png = picture_png


class NoFileUsable(BrandRefused):
    """None of the uploaded files can be used; the first speaks for all.

    by_size : size -> why its file is turned away
    """

    def __init__(self, by_size: Mapping[str, BrandRefused]) -> None:
        first = next(iter(by_size.values()))
        super().__init__(first.field, first.reason, code=first.code, picture_png=first.picture_png)
        self.by_size = by_size
