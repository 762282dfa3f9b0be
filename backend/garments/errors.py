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


REFUSALS = {"garment_invalid": "No size of this chart can be built; the sizes say why."}
"""What the brand is told, by the worker's code, where the worker found no words of its own."""
FAULT = "The mesh could not be built; it is our fault. Save the garment again."
