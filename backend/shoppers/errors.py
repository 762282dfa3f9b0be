from backend.core.problems import AppError, InvalidRequest, NotFound


class OriginNotAllowed(AppError):
    status = 403
    code = "origin_not_allowed"
    title = "Origin is not on the brand's list"


class ConsentNotFound(NotFound):
    code = "consent_not_found"
    title = "Consent not found"


class ConsentRequired(InvalidRequest):
    code = "consent_required"
    title = "Consent is required"
