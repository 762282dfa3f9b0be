"""Every error a client sees leaves as RFC 9457 `application/problem+json`: code, facts, one sentence."""

from http import HTTPStatus

import msgspec
import structlog
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.plugins.problem_details import (
    ProblemDetailsConfig,
    ProblemDetailsException,
    ProblemDetailsPlugin,
)
from sqlalchemy.exc import DataError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backend.core.storage import StorageError, StoreForbidden, StoreMisconfigured, StoreUnavailable

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2


class Problem(msgspec.Struct, frozen=True):
    """The shape of every refusal; some carry further facts beside these."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class AppError(Exception):
    """A refusal we promise: constant status, code and title, one sentence, machine-readable facts."""

    status: int = 500
    code: str = "internal"
    title: str = "Internal error"
    headers: dict[str, str] = {}  # noqa: RUF012  constant of the class

    def __init__(self, detail: str, **facts: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class Unauthorized(AppError):
    """One text for every bad credential, so that nothing can be learned from the difference."""

    status = 401
    code = "unauthorized"
    title = "Not authorized"
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__("A valid credential is needed: missing, wrong, revoked and expired ones look the same here.")


class NotFound(AppError):
    """Unknown and not yours look the same; features subclass it with their noun."""

    status = 404
    code = "not_found"
    title = "Not found"


class InvalidRequest(AppError):
    """A value that the schema allows and the rules do not."""

    status = 422
    code = "invalid_request"
    title = "Request is not valid"


class BadJson(AppError):
    status = 400
    code = "bad_json"
    title = "Body is not valid JSON"


class BodyTooLarge(AppError):
    status = 413
    code = "body_too_large"
    title = "Request is too large"


class Unavailable(AppError):
    """Expected and transient: the client may come again; logged as a warning, never paged."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"
    headers = {"Retry-After": str(RETRY_AFTER_S)}  # noqa: RUF012


def refusals(*kinds: type[AppError]) -> dict[int, ResponseSpec]:
    """`responses=` of a handler: the refusals it may answer with, for the OpenAPI document."""
    by_status: dict[int, list[str]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind.code)
    return {
        status: ResponseSpec(
            Problem, generate_examples=False, media_type=MEDIA_TYPE, description=" or ".join(sorted(codes))
        )
        for status, codes in by_status.items()
    }


def _about_blank(status_code: int, detail: str, headers: dict[str, str] | None = None) -> ProblemDetailsException:
    status = HTTPStatus(status_code)
    return ProblemDetailsException(
        status_code=status,
        type_="about:blank",
        title=status.phrase,
        detail=detail,
        headers=headers,
        extra={"code": status.name.lower()},
    )


def _from_app(error: AppError) -> ProblemDetailsException:
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request.refused", code=error.code)
    return ProblemDetailsException(
        status_code=error.status,
        type_=f"/problems/{error.code}",
        title=error.title,
        detail=error.detail,
        headers=error.headers,
        extra={"code": error.code, **error.facts},
    )


def _from_validation(error: ValidationException) -> ProblemDetailsException:
    return ProblemDetailsException(
        status_code=422,
        type_="/problems/invalid_request",
        title=InvalidRequest.title,
        detail="One or more fields were not accepted.",
        extra={"code": InvalidRequest.code, "errors": error.extra},
    )


def _from_http(error: HTTPException) -> ProblemDetailsException:
    if isinstance(error.__cause__, SerializationException):
        return _from_app(BadJson("The body could not be read as JSON."))
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _from_app(BodyTooLarge("The body is larger than this address takes."))
    return _about_blank(error.status_code, error.detail, error.headers)


def _from_integrity(error: IntegrityError) -> ProblemDetailsException:
    log.warning("request.conflicted", exc_info=error)
    return _about_blank(409, "It conflicts with what is stored already.")


def _from_store(error: StorageError) -> ProblemDetailsException:
    """Down, or not set up as it must be: the one is for the sender to wait out, the other for the operator to mend."""
    log.error("store.failed", fault=type(error).__name__, reason=str(error))
    return _from_app(Unavailable("The object store does not answer now; send this again."))


def _from_data(error: DataError) -> ProblemDetailsException:
    """Postgres takes no NUL in a text, and no number beyond its column: the sender's, whatever field it stood in."""
    log.warning("request.not_storable", exc_info=error)
    return _from_app(InvalidRequest("A value cannot be stored: it holds a NUL character, or a number is too large."))


def _from_depth(error: RecursionError) -> ProblemDetailsException:
    log.warning("request.too_deep", exc_info=error)
    return _from_app(BadJson("The body is nested too deeply."))


def _from_database(error: OperationalError | PoolTimeout) -> ProblemDetailsException:
    log.error("database.failed", exc_info=error)
    return _about_blank(503, "The database did not answer in time.", {"Retry-After": str(RETRY_AFTER_S)})


def _from_anything(error: Exception) -> ProblemDetailsException:
    log.error("request.faulted", exc_info=error)
    return _about_blank(500, "The fault was logged.")


def plugin() -> ProblemDetailsPlugin:
    return ProblemDetailsPlugin(
        ProblemDetailsConfig(
            exception_to_problem_detail_map={
                AppError: _from_app,
                ValidationException: _from_validation,
                HTTPException: _from_http,
                IntegrityError: _from_integrity,
                DataError: _from_data,
                StoreUnavailable: _from_store,
                StoreForbidden: _from_store,
                StoreMisconfigured: _from_store,
                RecursionError: _from_depth,
                OperationalError: _from_database,
                PoolTimeout: _from_database,
                Exception: _from_anything,
            }
        )
    )
