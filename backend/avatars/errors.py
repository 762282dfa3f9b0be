from backend.core.problems import AppError, InvalidRequest, NotFound

WORDS = {
    "photo_unreadable": "This file could not be read as a photo. JPEG, PNG or WebP works.",
    "photo_too_large": "This photo is too large. Up to 10 MB and 50 megapixels works.",
    "photo_no_person": "We could not find a person. Stand in front of a plain wall with more light.",
    "photo_several_people": "There seem to be two people. We need you alone in the picture.",
    "photo_cropped": "Your feet or head are outside the picture. Step back about one metre.",
    "photo_too_small": "You are too far away. Come closer until you fill the outline.",
    "photo_gone": "Your photo had to wait too long and was deleted unused. Please send it again.",
    "photo_pose": "Face the camera, stand straight, arms slightly away.",
}
"""What a shopper is told, by the code of a refusal."""
WORDS_OF_A_FAULT = "We cannot make the 3D view now. Your size is not affected."


class AvatarNotFound(NotFound):
    code = "avatar_not_found"
    title = "Avatar not found"


class InvalidFact(InvalidRequest):
    """`code` says which fact (`invalid_height`, …), `field` which part of the form."""

    code = "invalid_fact"
    title = "A stated fact cannot be used"

    def __init__(self, detail: str, *, code: str, field: str) -> None:
        super().__init__(detail, field=field)
        self.code = code


class PhotoTooLarge(AppError):
    status = 413
    code = "photo_too_large"
    title = "Photo is too large"


class PhotoUnreadable(InvalidRequest):
    code = "photo_unreadable"
    title = "Photo cannot be read"


class FormNeeded(AppError):
    status = 415
    code = "unsupported_type"
    title = "Content type is not supported"
