"""Why a unit came back: Shopify's handles → the classes that analytics counts. Pure, and versioned with the table.

Handles are those of Shopify's public product taxonomy that a garment can meet (read 2026-11), and the words of the
older enumeration in the same spelling; the set is open. Lengths are `fit_other`, not `too_small`: no girth would have
helped, and the fit model learns girths.
"""

from typing import Literal

REASONS_VERSION = "1"
"""Goes up with any change of the table; stands beside every class that was stored."""

ReasonClass = Literal[
    "too_small", "too_large", "fit_other", "look", "quality", "wrong_item", "changed_mind", "other", "unknown"
]

_TABLE: dict[ReasonClass, str] = {
    "too_small": """
        too-small size-too-small too-tight too-narrow restrictive band-too-small band-too-tight bust-too-small
        bust-too-tight chest-too-small collar-too-tight cuff-too-small cups-too-small cups-too-tight
        legs-too-tight sleeves-too-tight tight-around-ankles tight-around-thighs waist-too-small waist-too-tight""",
    "too_large": """
        too-big too-large size-too-large too-loose too-wide band-too-big band-too-loose bust-too-big
        bust-too-loose chest-too-big collar-too-loose cuff-too-big cups-gaping cups-too-big cups-too-loose
        legs-too-loose loose-around-ankle loose-around-thighs sleeves-too-loose waist-too-big waist-too-loose""",
    "fit_other": """
        fit size length width too-long too-short inseam-too-long inseam-too-short sleeves-too-long
        sleeves-too-short straps-too-long straps-too-short waist-too-high waist-too-low band-rolls-down
        band-rolls-up comfort uncomfortable compression pressure-points rubbing shape""",
    "look": """
        style color color-too-bright color-too-muted shade pattern finish texture transparency opacity coverage
        material-too-see-through skin-tone theme no-pockets""",
    "quality": """
        quality damaged-or-defective defective item-not-as-described not-as-described material fabric
        material-not-breathable material-not-durable material-too-stiff material-too-stretchy poor-stitching
        loose-seams loose-threads seams-splitting pilling pulls-in-fabric shedding stained surface-damage
        scratched logo-peeling embellishment-fell-off dye-transferred damaged-after-use damaged-after-washing
        damaged-after-wear damaged-packaging odor softness sturdiness thickness too-thick too-thin too-stiff
        too-soft warmth breathability washability printing print-quality closure fastening condition
        caused-irritation caused-allergic-reaction""",
    "wrong_item": """
        received-the-wrong-item wrong-item wrong-amount ordered-wrong-item ordered-wrong-format duplicate-order""",
    "changed_mind": "changed-my-mind unwanted ordered-multiple budget trial-period-ending",
    "other": "other other-reason arrived-late delivery-issue",
    "unknown": "unknown",
}
CLASS_OF: dict[str, ReasonClass] = {
    handle: reason_class for reason_class, handles in _TABLE.items() for handle in handles.split()
}


def is_mapped(handle: str) -> bool:
    return handle in CLASS_OF


def classify(handle: str | None) -> ReasonClass:
    """None means that nobody said why; a handle we do not know is `other`, and reported to the operator."""
    return "unknown" if handle is None else CLASS_OF.get(handle, "other")
