from backend.core.problems import InvalidRequest, NotFound


class SessionNotFound(NotFound):
    code = "tryon_session_not_found"
    title = "Try-on session not found"


class UnknownSize(InvalidRequest):
    code = "unknown_size"
    title = "The garment has no such size"


WORDS = {
    "does_not_fit": "No size of this garment can be shown on this figure: all would be far too tight.",
    "garment_invalid": "The shop's size chart does not say enough to draw this garment.",
    "body_invalid": "This figure cannot be dressed. Check the height that was given.",
}
"""What the shopper is told, by the worker's code."""
WORDS_OF_A_FAULT = "The picture could not be made; it is not your fault. The size advice stands."
