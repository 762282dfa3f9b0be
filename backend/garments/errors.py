from backend.core.problems import AppError, InvalidRequest, NotFound


class GarmentNotFound(NotFound):
    code = "garment_not_found"
    title = "Garment not found"


class InvalidSizeChart(InvalidRequest):
    """Carries `problems`: each with a code, a sentence, and the row and column it is about."""

    code = "invalid_size_chart"
    title = "Size chart is not valid"


class ProductTaken(AppError):
    status = 409
    code = "product_taken"
    title = "Another garment has this product"
