"""A judgement put into a result: notes as codes for our own frame, sentences in English for all others. Pure."""

from collections.abc import Sequence

from backend.tryons.sizing import FitResult, Judgement, LengthFit, SizeFit, Wear, missing_girths

NOTE_OF_FLAG = {
    "extrapolated": "extrapolated",
    "facts_inconsistent": "inconsistent",
    "loose_clothing": "loose_clothing",
}
"""Flags of an estimate that the shopper should hear of, by the code of the note."""

SENTENCE_OF_NOTE = {
    "extrapolated": "Few people like you were in our data, so we are less sure.",
    "inconsistent": "Your answers do not fit together well; please check their units.",
    "loose_clothing": "Loose clothes hide the shape, so the photo counts for less.",
}
VERDICT_WORDS = {
    "too_tight": "too tight",
    "snug": "close",
    "regular": "regular",
    "loose": "loose",
    "too_loose": "too loose",
}
NEARLY_ALL = 0.95


def describe(judgement: Judgement, wear: Wear, flags: Sequence[str]) -> FitResult:
    missing = missing_girths(wear)
    flagged = [NOTE_OF_FLAG[flag] for flag in flags if flag in NOTE_OF_FLAG]
    decision, named = judgement.decision, judgement.named
    return FitResult(
        decision=decision,
        recommended_size=named[0] if decision == "one" else None,
        between=list(named) if decision == "between" else None,
        confidence=judgement.confidence,
        sizes=judgement.sizes,
        none_probability=judgement.none_probability,
        measure_next=judgement.measure_next,
        notes=[*(f"region_missing:{girth}" for girth in missing), *flagged],
        sentences=[
            *_answer(judgement),
            *(f"The shop gives no {_plain(girth)} width, so it is not judged." for girth in missing),
            *(SENTENCE_OF_NOTE[note] for note in flagged),
        ],
    )


def chance(probability: float) -> str:
    """Said in tenths, never in decimals."""
    if probability >= NEARLY_ALL:
        return "more than 9 in 10"
    tenths = round(probability * 10)
    return f"about {tenths} in 10" if tenths else "less than 1 in 10"


def _answer(judgement: Judgement) -> list[str]:
    by_name = {size.size: size for size in judgement.sizes}
    match judgement.decision:
        case "one":
            size = by_name[judgement.named[0]]
            return [f"{size.size}: {chance(size.probability)}. {_sits(size)}."]
        case "between":
            small, large = (by_name[name] for name in judgement.named)
            return [
                f"Between {small.size} and {large.size}.",
                *(f"{one.size}: {_sits(one)}." for one in (small, large)),
            ]
        case "unsure":
            asked = _plain((judgement.measure_next or "").removesuffix("_cm").removesuffix("_natural"))
            return ["We cannot say yet.", f"Your {asked} in cm would help most."]
        case "none_fits":
            likeliest = max(judgement.sizes, key=lambda size: size.probability)
            return ["No size is likely to fit well.", f"The nearest is {likeliest.size}: {_sits(likeliest)}."]


def _sits(size: SizeFit) -> str:
    girths = [f"{_plain(region.region)} {VERDICT_WORDS[region.verdict]}" for region in size.regions]
    lengths = [length_words(length) for length in size.lengths if length.verdict != "usual"]
    words = ", ".join([*girths, *lengths])
    return words[:1].upper() + words[1:]


def length_words(length: LengthFit) -> str:
    """Centimetres where they may be told."""
    amount = "" if length.off_cm is None else f"{abs(length.off_cm):.0f} cm "
    return f"{length.part} {amount}{length.verdict}"


def _plain(name: str) -> str:
    return name.replace("_", " ")
