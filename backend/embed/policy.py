"""What the frame's page may load and who may frame it. Pure."""

EMBED_HEADERS = {
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(self), fullscreen=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
}


def content_security_policy(frame_ancestors: list[str], storage_origin: str) -> str:
    """Own files only; objects from the store; no page but the brand's own around it. No key, no frame.

    WebAssembly decodes meshes; `blob:` is the shopper's photo before it is sent and the decoder's worker.
    """
    rules = {
        "default-src": "'none'",
        "script-src": "'self' 'wasm-unsafe-eval'",
        "style-src": "'self'",
        "img-src": "'self' blob:",
        "media-src": "'self' blob:",
        "font-src": "'self'",
        "connect-src": f"'self' blob: {storage_origin}",
        "worker-src": "'self' blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": " ".join(frame_ancestors) or "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
