from backend.core.problems import InvalidRequest, NotFound


class BrandNotFound(NotFound):
    code = "brand_not_found"
    title = "Brand not found"


class KeyNotFound(NotFound):
    code = "key_not_found"
    title = "Key not found"


class InvalidOrigin(InvalidRequest):
    code = "invalid_origin"
    title = "Origin is not valid"
