from backend.core.problems import InvalidRequest, NotFound


class SessionNotFound(NotFound):
    code = "tryon_session_not_found"
    title = "Try-on session not found"


class UnknownSize(InvalidRequest):
    code = "unknown_size"
    title = "The garment has no such size"
