"""What clients are told, and what can go wrong between us and Shopify."""

from backend.core.problems import AppError, Unauthorized, Unavailable


class ShopifyOff(AppError):
    """The routes exist and say so, so that a missing setting is not mistaken for a wrong address."""

    status = 503
    code = "shopify_off"
    title = "Shopify is not set up here"

    def __init__(self) -> None:
        super().__init__("This service has no Shopify app: SHOPIFY_CLIENT_ID and its companions are not set.")


class ProxyUnverified(AppError):
    """One text for every fault of a signature, so that nothing can be learned from the difference."""

    status = 401
    code = "proxy_unverified"
    title = "Not a request of the shop's app proxy"

    def __init__(self) -> None:
        super().__init__("The request was not signed for this shop just now.")


class ProductNotReady(AppError):
    status = 409
    code = "not_ready"
    title = "Product is not ready"


class PlanLimit(AppError):
    status = 402
    code = "plan_limit"
    title = "Plan is used up"


class UnknownOrigin(AppError):
    status = 403
    code = "unknown_origin"
    title = "Origin is not of this shop"


class SessionTokenRefused(Unauthorized):
    """App Bridge fetches a fresh token and repeats the request once when it sees this header."""

    headers = {"WWW-Authenticate": "Bearer", "X-Shopify-Retry-Invalid-Session-Request": "1"}  # noqa: RUF012


class RequestRepeated(AppError):
    """A replay changes nothing."""

    status = 409
    code = "request_repeated"
    title = "Request was made before"


class ShopifyError(Exception):
    """Something between us and Shopify; `code` is stable and fit for a log or a merchant's page."""

    code = "shopify_error"


class NotInstalled(ShopifyError):
    """No install, or the shop has taken the app out: work for it is dropped."""

    code = "not_installed"


class NeedsVisit(ShopifyError):
    """No usable token: the next visit of the merchant to the admin page brings one; work waits."""

    code = "needs_visit"


class TokenRefused(ShopifyError):
    """Shopify answered 401: once for a stale token, twice for an install that needs a visit."""

    code = "token_refused"


class ScopeMissing(ShopifyError):
    """ACCESS_DENIED: a feature is off, and says which scope it lacks."""

    code = "scope_missing"


class DocumentRefused(ShopifyError):
    """Shopify does not accept the document or its variables: a fault of ours, never retried."""

    code = "document_refused"


class UserErrors(ShopifyError):
    """The mutation was understood and not carried out; `errors` as Shopify gave them."""

    code = "user_errors"

    def __init__(self, mutation: str, errors: list[dict[str, object]]) -> None:
        listed = ", ".join(str(error.get("code") or "without code") for error in errors)
        super().__init__(f"{mutation} was refused: {listed}")
        self.mutation = mutation
        self.errors = errors

    @property
    def codes(self) -> set[str]:
        """Shopify's own, e.g. `STALE_OBJECT`."""
        return {str(error["code"]) for error in self.errors if error.get("code")}


class ShopifyUnavailable(ShopifyError):
    """After every try: throttled, 5xx, or no answer; the work is to be repeated later."""

    code = "shopify_unavailable"


class BulkFailed(ShopifyError):
    """The bulk operation ended without a result."""

    code = "bulk_failed"


class ShopifyBusy(Unavailable):
    """Told to a merchant's page when Shopify itself does not answer."""

    code = "shopify_unavailable"
