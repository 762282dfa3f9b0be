from backend.core.problems import AppError


class TooManyEvents(AppError):
    status = 400
    code = "too_many_events"
    title = "Too many events in one request"


class UnsupportedBatchType(AppError):
    status = 415
    code = "unsupported_type"
    title = "Content type is not supported"
