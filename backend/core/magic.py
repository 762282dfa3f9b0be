"""Whether the first bytes are of the type they were declared to be: a declared type is only a claim."""

GLB_VERSION = 2


def matches_type(head: bytes, size: int, media_type: str) -> bool:
    """`head` holds at least the first 12 bytes of an object of `size` bytes; types without a signature pass."""
    match media_type:
        case "image/jpeg":
            return head.startswith(b"\xff\xd8\xff")
        case "image/png":
            return head.startswith(b"\x89PNG\r\n\x1a\n")
        case "image/webp":
            return head[:4] == b"RIFF" and head[8:12] == b"WEBP"
        case "model/gltf-binary":
            version, length = (int.from_bytes(head[at : at + 4], "little") for at in (4, 8))
            return head[:4] == b"glTF" and version == GLB_VERSION and length == size
        case "application/zip":
            return head.startswith(b"PK\x03\x04")
    return True


def image_type(head: bytes) -> str | None:
    """The photo type that the first bytes speak of, whatever was declared."""
    return next((kind for kind in ("image/jpeg", "image/png", "image/webp") if matches_type(head, 0, kind)), None)
