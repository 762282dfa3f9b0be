from backend.core.problems import AppError


class TooManyEvents(AppError):
    status = 400
    code = "too_many_events"
    title = "Too many events in one request"


class BatchTooLarge(AppError):
    status = 413
    code = "batch_too_large"
    title = "Request is too large"


class BadJson(AppError):
    status = 400
    code = "bad_json"
    title = "Body is not valid JSON"


class UnsupportedBatchType(AppError):
    status = 415
    code = "unsupported_type"
    title = "Content type is not supported"
