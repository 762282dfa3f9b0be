from backend.core.problems import AppError, InvalidRequest, NotFound


class GarmentNotFound(NotFound):
    code = "garment_not_found"
    title = "Garment not found"


class SizeNotFound(NotFound):
    code = "size_not_found"
    title = "The garment has no such size"


class ModelNotFound(NotFound):
    code = "model_not_found"
    title = "The size has no model of its own"


class InvalidModel(InvalidRequest):
    """A file is taken, never an address."""

    code = "garment_invalid"
    title = "Not a GLB"


class ModelTooLarge(AppError):
    status = 413
    code = "model_too_large"
    title = "The model is too large"


class ImportNotFound(NotFound):
    code = "import_not_found"
    title = "Import not found"


class InvalidFile(InvalidRequest):
    code = "invalid_file"
    title = "The file cannot be read"


class InvalidPicture(InvalidRequest):
    code = "look_invalid"
    title = "Not a picture of a look"


class PictureTooLarge(AppError):
    status = 413
    code = "look_too_large"
    title = "The picture is too large"


class InvalidSizeChart(InvalidRequest):
    """Carries `problems`: each with a code, a sentence, and the row and column it is about."""

    code = "invalid_size_chart"
    title = "Size chart is not valid"


class ProductTaken(AppError):
    status = 409
    code = "product_taken"
    title = "Another garment has this product"


class ExternalIdTaken(AppError):
    status = 409
    code = "external_id_taken"
    title = "Another garment has this external_id"


REFUSALS = {
    "garment_invalid": "No size of this garment can be built; the sizes say why.",
    "garment_unclear": "The file may mean several things; the sizes say which.",
    "look_invalid": "The look cannot be drawn: a picture must be a PNG or JPEG that can be read.",
    "look_too_large": "A picture of the look has at most 8 MB and 4,096 pixels each way.",
}
"""What the brand is told, by the worker's code, where the worker found no words of its own."""
FAULT = "The mesh could not be built; it is our fault. Save the garment again."
