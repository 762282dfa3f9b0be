"""The one exception with which a brand's file is turned away."""

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
