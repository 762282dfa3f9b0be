"""Supabase's storage server, as far as it was recorded: an ASGI app for tests, served in process or on a socket.

Its answers are pinned to recorded exchanges of the real server (`test_supabase_fake.py` replays them). Row level
security is reduced to "the service key or nothing"; resumable uploads, moves and copies are not there.
"""

import base64
import re
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, quote

import jwt

from backend.core.clock import Clock
from tests.fake_supabase_answers import (
    JSON_TYPE,
    Answer,
    Asked,
    FakeBucket,
    FakeObject,
    Refused,
    bad_request,
    bucket_row,
    bucket_settings,
    dump,
    duplicate,
    info_of,
    is_of,
    listed,
    no_authorization,
    no_bucket,
    no_key,
    not_allowed,
    read_upload,
    removed_row,
    serve,
    too_large,
)

SECRET = "the storage server's own secret, of the tests alone"
ROOT = "/storage/v1"
UPLOAD_LIFE_S = 7200
GLOBAL_LIMIT = 50 * 1024 * 1024
LISTED_ALWAYS = 100
KEY = re.compile(r"[A-Za-z0-9_/!.*'() &$=@;:+,?-]+")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class FakeSupabaseStorage:
    def __init__(self, clock: Clock, *, upload_life_s: int = UPLOAD_LIFE_S) -> None:
        self.clock = clock
        self.upload_life_s = upload_life_s
        self.global_limit = GLOBAL_LIMIT
        self.buckets: dict[str, FakeBucket] = {}
        self.objects: dict[tuple[str, str], FakeObject] = {}
        self.undeletable: set[str] = set()
        """Buckets whose rows a policy hides from deletion."""
        self.clients: list[tuple[str, int]] = []
        """Method and client port of every request."""

    def token(self, **claims: Any) -> str:
        return jwt.encode({"iat": self.now_s(), "exp": self.now_s() + 3600} | claims, SECRET, "HS256")

    @property
    def service_key(self) -> str:
        return jwt.encode({"role": "service_role", "exp": self.now_s() + 10**9}, SECRET, "HS256")

    def now_s(self) -> int:
        return int(self.clock.now().timestamp())

    # ---- HTTP -------------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.clients.append((scope["method"], (scope.get("client") or ("", 0))[1]))
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        asked = Asked(scope["method"], scope["path"].removeprefix(ROOT), query, headers, bytes(body))
        try:
            answer = self.answer(asked)
        except Refused as refused:
            answer = refused.answer
        content = b"" if scope["method"] == "HEAD" else answer.body
        told = {"content-length": str(len(answer.body))} | answer.headers
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [(name.encode(), value.encode("latin-1")) for name, value in told.items()],
            }
        )
        await send({"type": "http.response.body", "body": content})

    def answer(self, asked: Asked) -> Answer:
        for method, pattern, handle in self.routes():
            match = re.fullmatch(pattern, asked.path, re.DOTALL)
            if match and asked.method in method.split():
                answer = handle(asked, *match.groups())
                if isinstance(answer, Answer):
                    return answer
                return Answer(200, dump(answer), {"content-type": JSON_TYPE})
        text = f"Route {asked.method}:{asked.path} not found"
        if asked.method == "OPTIONS":
            raise Refused("404", "Not Found", text, "InvalidRequest", 404)
        body = dump({"message": text, "error": "Not Found", "statusCode": 404})
        return Answer(404, body, {"content-type": JSON_TYPE})

    def routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        """First match wins."""
        named = "([^/]+)/(.+)"
        return [
            ("GET", "/bucket", self.list_buckets),
            ("POST", "/bucket", self.create_bucket),
            ("GET", "/bucket/([^/]+)", self.get_bucket),
            ("PUT", "/bucket/([^/]+)", self.update_bucket),
            ("DELETE", "/bucket/([^/]+)", self.delete_bucket),
            ("POST", "/bucket/([^/]+)/empty", self.empty_bucket),
            ("POST", "/object/list/([^/]+)", self.list_folder),
            ("POST", "/object/list-v2/([^/]+)", self.list_keys),
            ("POST", "/object/upload/sign/" + named, self.sign_upload),
            ("PUT", "/object/upload/sign/" + named, self.put_signed),
            ("POST", "/object/sign/([^/]+)", self.sign_many),
            ("POST", "/object/sign/" + named, self.sign),
            ("GET HEAD", "/object/sign/" + named, self.get_signed),
            ("GET HEAD", "/object/public/" + named, self.get_public),
            ("GET", "/object/info/public/" + named, self.info_public),
            ("GET", "/object/info/" + named, self.info),
            ("GET", "/object/authenticated/" + named, self.get),
            ("GET", "/object/" + named, self.get),
            ("POST PUT", "/object/" + named, self.upload),
            ("DELETE", "/object/([^/]+)", self.remove),
            ("DELETE", "/object/" + named, self.remove_one),
        ]

    def is_service(self, asked: Asked) -> bool:
        """False for any other role; a credential that is none is refused."""
        bearer = asked.bearer()
        if bearer is None:
            raise no_authorization()
        claims = self.claims(bearer, not_allowed)
        role = claims.get("role", "anon")
        if role not in {"service_role", "authenticated", "anon"}:
            raise Refused("500", "DatabaseError", "database error, code: 22023", "DatabaseError", 500)
        return bool(role == "service_role")

    def claims(self, token: str, refusal: Callable[[str], Refused]) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token, SECRET, ["HS256"], options={"verify_exp": False, "verify_iat": False}
            )
        except jwt.InvalidSignatureError:
            raise refusal("signature verification failed") from None
        except jwt.PyJWTError:
            raise refusal("Invalid Compact JWS") from None
        if claims.get("exp", self.now_s()) < self.now_s():
            raise refusal('"exp" claim timestamp check failed')
        return claims

    def require_service(self, asked: Asked) -> None:
        if not self.is_service(asked):
            raise not_allowed()

    # ---- buckets ----------------------------------------------------------------------------------------------------

    def list_buckets(self, asked: Asked) -> object:
        visible = self.buckets.values() if self.is_service(asked) else ()
        return [{"type": "STANDARD"} | bucket_row(bucket) for bucket in visible]

    def get_bucket(self, asked: Asked, name: str) -> object:
        if not self.is_service(asked) or name not in self.buckets:
            raise no_bucket()
        return bucket_row(self.buckets[name])

    def create_bucket(self, asked: Asked) -> object:
        self.require_service(asked)
        row = asked.json()
        if "/" in row["id"]:
            raise Refused("400", "Invalid Input", "Bucket name invalid", "InvalidBucketName")
        if row["id"] in self.buckets:
            raise duplicate("BucketAlreadyExists")
        self.buckets[row["id"]] = FakeBucket(row["id"], *bucket_settings(row, self.global_limit), self.clock.now())
        return {"name": row["name"]}

    def update_bucket(self, asked: Asked, name: str) -> object:
        self.require_service(asked)
        bucket = self.buckets.get(name)
        if bucket is None:
            raise no_bucket()
        bucket.public, bucket.limit, bucket.types = bucket_settings(asked.json(), self.global_limit)
        return {"message": "Successfully updated"}

    def delete_bucket(self, asked: Asked, name: str) -> object:
        self.require_service(asked)
        if any(bucket == name for bucket, _ in self.objects):
            raise Refused("409", "ResourceNotEmpty", "The bucket you tried to delete is not empty", "ResourceNotEmpty")
        self.buckets.pop(name)
        return {"message": "Successfully deleted"}

    def empty_bucket(self, asked: Asked, name: str) -> object:
        self.require_service(asked)
        del name  # it only queues
        return {"message": "Empty bucket has been queued. Completion may take up to an hour."}

    # ---- writing ----------------------------------------------------------------------------------------------------

    def upload(self, asked: Asked, bucket: str, key: str) -> object:
        is_service = self.is_service(asked)
        if KEY.fullmatch(key) is None:
            raise Refused("400", "InvalidKey", f"Invalid key: {key}", "InvalidKey")
        if bucket not in self.buckets:
            raise no_bucket()
        if not is_service:
            raise not_allowed()
        overwrites = asked.method == "PUT" or asked.headers.get("x-upsert") == "true"
        made = self.store(bucket, key, asked, overwrites=overwrites)
        return {"Key": f"{bucket}/{key}", "Id": made.id}

    def store(self, bucket: str, key: str, asked: Asked, *, overwrites: bool) -> FakeObject:
        """Type, size, then the key; a raw body in chunks passes over every size limit, as the real one's do."""
        upload, rules = read_upload(asked), self.buckets[bucket]
        if rules.types is not None and not any(is_of(upload.content_type, wanted) for wanted in rules.types):
            text = f"mime type {upload.content_type} is not supported"
            raise Refused("415", "invalid_mime_type", text, "InvalidMimeType")
        is_measured = "content-length" in asked.headers
        if is_measured and len(upload.body) > min(rules.limit or self.global_limit, self.global_limit):
            raise too_large()
        before = self.objects.get((bucket, key))
        if before is not None and not overwrites:
            raise duplicate()
        now = self.clock.now()
        made = FakeObject(bucket, key, upload.body, upload.content_type, upload.cache_control, upload.facts, now, now)
        if before is not None:
            made.id, made.made_at = before.id, before.made_at
        self.objects[bucket, key] = made
        return made

    def sign_upload(self, asked: Asked, bucket: str, key: str) -> object:
        is_service = self.is_service(asked)
        if bucket not in self.buckets:
            raise Refused("404", "InvalidRequest", "The related resource does not exist", "InvalidRequest")
        if not is_service:
            raise not_allowed()
        upsert = asked.headers.get("x-upsert") == "true"
        if (bucket, key) in self.objects and not upsert:
            raise duplicate()
        token = self.upload_token(bucket, key, upsert=upsert)
        return {"url": f"/object/upload/sign/{bucket}/{quote(key)}?token={token}", "token": token}

    def upload_token(self, bucket: str, key: str, *, upsert: bool) -> str:
        expires = self.now_s() + self.upload_life_s
        return self.token(url=f"{bucket}/{key}", upsert=upsert, scope="upload", exp=expires)

    def put_signed(self, asked: Asked, bucket: str, key: str) -> object:
        claims = self.signed_claims(asked, bucket, key)
        if claims.get("scope") != "upload":
            raise Refused("400", "InvalidSignature", "Token is not scoped for upload", "InvalidSignature")
        self.store(bucket, key, asked, overwrites=bool(claims["upsert"]))
        return {"Key": f"{bucket}/{key}"}

    # ---- reading ----------------------------------------------------------------------------------------------------

    def get(self, asked: Asked, bucket: str, key: str) -> Answer:
        """With a bad credential the bucket seems to be missing."""
        try:
            is_service = self.is_service(asked)
        except Refused:
            raise no_bucket() from None
        if bucket not in self.buckets:
            raise no_bucket()
        if not is_service:
            raise no_key()
        found = self.find(bucket, key)
        return serve(asked, found, {"cache-control": found.cache_control})

    def get_public(self, asked: Asked, bucket: str, key: str) -> Answer:
        if bucket not in self.buckets or not self.buckets[bucket].public:
            raise no_bucket()
        found = self.find(bucket, key)
        return serve(asked, found, {"cache-control": found.cache_control})

    def get_signed(self, asked: Asked, bucket: str, key: str) -> Answer:
        claims = self.signed_claims(asked, bucket, key)
        if claims.get("scope") != "download":
            raise Refused("400", "InvalidSignature", "Token is not scoped for download", "InvalidSignature")
        expires = datetime.fromtimestamp(claims["exp"], self.clock.now().tzinfo)
        return serve(asked, self.find(bucket, key), {"expires": format_datetime(expires, usegmt=True)})

    def signed_claims(self, asked: Asked, bucket: str, key: str) -> dict[str, Any]:
        if "token" not in asked.query:
            raise bad_request("querystring must have required property 'token'")
        claims = self.claims(asked.query["token"], lambda text: Refused("400", "InvalidJWT", text, "InvalidJWT"))
        is_mixed_up = claims.get("scope") != ("upload" if asked.method == "PUT" else "download")
        if claims.get("url") != f"{bucket}/{key}" and not is_mixed_up:
            raise Refused("400", "InvalidSignature", "Invalid signature", "InvalidSignature")
        return claims

    def info(self, asked: Asked, bucket: str, key: str) -> Answer:
        if bucket not in self.buckets:
            raise no_bucket()
        if not self.is_service(asked):
            raise no_key()
        return info_of(self.find(bucket, key))

    def info_public(self, asked: Asked, bucket: str, key: str) -> Answer:
        if bucket not in self.buckets or not self.buckets[bucket].public:
            raise no_bucket()
        return info_of(self.find(bucket, key))

    def find(self, bucket: str, key: str) -> FakeObject:
        if (bucket, key) not in self.objects:
            raise no_key()
        return self.objects[bucket, key]

    def sign(self, asked: Asked, bucket: str, key: str) -> object:
        is_service = self.is_service(asked)
        life_s = int(asked.json()["expiresIn"])
        if life_s < 1:
            raise bad_request("body/expiresIn must be >= 1")
        if not is_service:
            raise no_key()
        self.find(bucket, key)
        return {"signedURL": self.signed_path(bucket, key, life_s)}

    def sign_many(self, asked: Asked, bucket: str) -> object:
        self.require_service(asked)
        wanted = asked.json()
        missing = "Either the object does not exist or you do not have access to it"
        return [
            {"error": None, "path": key, "signedURL": self.signed_path(bucket, key, int(wanted["expiresIn"]))}
            if (bucket, key) in self.objects
            else {"error": missing, "path": key, "signedURL": None}
            for key in wanted["paths"]
        ]

    def signed_path(self, bucket: str, key: str, life_s: int) -> str:
        token = self.token(url=f"{bucket}/{key}", scope="download", exp=self.now_s() + life_s)
        return f"/object/sign/{bucket}/{quote(key)}?token={token}"

    # ---- listing and deleting ---------------------------------------------------------------------------------------

    def keys(self, bucket: str, prefix: str) -> list[str]:
        return sorted(key for name, key in self.objects if name == bucket and key.startswith(prefix))

    def list_folder(self, asked: Asked, bucket: str) -> object:
        prefix = asked.json().get("prefix", "").strip("/")
        below = f"{prefix}/" if prefix else ""
        if not self.is_service(asked):
            return []
        rows: dict[str, dict[str, Any]] = {}
        for key in self.keys(bucket, below):
            name, slash, _ = key.removeprefix(below).partition("/")
            empty = dict.fromkeys(("id", "updated_at", "created_at", "last_accessed_at", "metadata"))
            rows[name] = {"name": name} | empty if slash else listed(self.objects[bucket, key], name)
        return list(rows.values())

    def list_keys(self, asked: Asked, bucket: str) -> object:
        """At most `limit` keys after the cursor, by their full names."""
        wanted = asked.json()
        after = base64.b64decode(wanted.get("cursor", "")).decode().removeprefix("l:")
        keys = self.keys(bucket, wanted.get("prefix", "")) if self.is_service(asked) else []
        keys = [key for key in keys if key > after]
        page = keys[: min(wanted.get("limit", LISTED_ALWAYS), 1000)]
        rows = []
        for key in page:
            row = listed(self.objects[bucket, key], key)
            if wanted.get("with_delimiter"):
                row = {"key": key.rpartition("/")[2]} | row
            rows.append(row)
        answer: dict[str, Any] = {"hasNext": len(keys) > len(page), "folders": [], "objects": rows}
        if answer["hasNext"]:
            answer["nextCursor"] = base64.b64encode(f"l:{page[-1]}".encode()).decode()
            answer["nextCursorKey"] = page[-1]
        return answer

    def remove(self, asked: Asked, bucket: str) -> object:
        """Silent about what is not there, and about what may not be deleted."""
        if not self.is_service(asked) or bucket in self.undeletable:
            return []
        removed = [self.objects.pop((bucket, key), None) for key in asked.json()["prefixes"]]
        return [removed_row(one) for one in removed if one is not None]

    def remove_one(self, asked: Asked, bucket: str, key: str) -> object:
        self.require_service(asked)
        self.find(bucket, key)
        del self.objects[bucket, key]
        return {"message": "Successfully deleted"}
