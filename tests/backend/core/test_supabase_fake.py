"""The fake storage server answers as the real one did: every recorded exchange is asked of it again.

The recording is data from outside the repository: `SUPABASE_EXCHANGES` is its path.
"""

import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fake_supabase_storage import FakeSupabaseStorage
from tests.fakes import HandClock

RECORDING = os.environ.get("SUPABASE_EXCHANGES", "")
ORIGIN = "http://storage.test/storage/v1"
NOT_PLAYED = {"move", "copy", "move.missing"}
"""The product uses neither."""
POLICIES = {
    "rls.own.insert", "rls.own.signupload", "rls.own.get", "rls.own.sign", "rls.own.list", "rls.own.upsert",
    "rls.own.delete", "rls.worker.put(no key)", "rls.sub not uuid", "rls.no exp",
}  # fmt: skip
"""What a policy allows; the product has none, so the fake knows none."""
PLAIN_BYTES, FORM_BYTES = 200_008, 200_282
"""A recorded body, and the same in a form with `cacheControl` 3600 and the file name body.glb."""
TYPES = {"glb": "model/gltf-binary", "jpg": "image/jpeg", "gif": "image/gif", "png": "image/png"}
UNKNOWN = {"id", "Id", "version", "created_at", "updated_at", "last_accessed_at", "last_modified", "lastModified"}
"""Differ at each run."""


@dataclass
class Exchange:
    name: str
    about: str
    method: str
    path: str
    credential: str
    headers: dict[str, str]
    body: str
    status: int
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer: str = ""


def read_recording() -> Iterator[Exchange]:
    for section in Path(RECORDING).read_text().partition("# Exchanges\n")[2].split("\n## ")[1:]:
        name, _, rest = section.partition("\n")
        about, block = rest.split("```\n")[:2]
        asked, _, told = block.partition("\n< ")
        first, *more = asked.split("\n")
        line = re.fullmatch(r"> (\w+) (\S+)  \[(.*)\]", first)
        assert line, name
        answer = told.split("\n")
        yield Exchange(
            name.strip(),
            about.strip(),
            line[1],
            line[2],
            line[3],
            dict(one[2:].split(": ", 1) for one in more if one.startswith("> ")),
            "\n".join(one for one in more if not one.startswith("> ")),
            int(answer[0]),
            dict(one[2:].split(": ", 1) for one in answer[1:] if one.startswith("< ")),
            "\n".join(one for one in answer[1:] if not one.startswith("< ")).strip(),
        )


class Player:
    """Asks what was asked, with tokens and bodies of its own, in the recorded order."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.server = FakeSupabaseStorage(self.clock)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.server))
        self.etags: dict[str, str] = {}

    async def play(self, exchange: Exchange) -> httpx.Response:
        await self.prepare(exchange.name)
        address = ORIGIN + self.filled(exchange.path).replace("<JWT>", self.signed_token(exchange))
        return await self.http.request(exchange.method, address, **self.sent(exchange))

    async def prepare(self, name: str) -> None:
        """State that the recording assumes, or that came of a call the fake does not have."""
        missing = {
            "public.get": ("garments/g1/shirt2.glb", "31536000", {}),
            "remove": ("avatars/u1/copied.glb", "3600", {"job": "42", "sha256": "abc"}),
        }
        if name not in missing:
            return
        path, life, facts = missing[name]
        data = {"cacheControl": life, "metadata": json.dumps(facts)}
        files = {"file": ("x.glb", b"\0" * PLAIN_BYTES, "model/gltf-binary")}
        answer = await self.http.post(
            f"{ORIGIN}/object/{path}", headers=self.credential("service"), data=data, files=files
        )
        assert answer.status_code == 200, answer.text

    def signed_token(self, exchange: Exchange) -> str:
        path = exchange.path.partition("?")[0]
        if path.startswith("/object/upload/sign/"):
            url, upsert = path.removeprefix("/object/upload/sign/"), "u3/" in path and exchange.name != "signup.put.raw"
            claims: dict[str, Any] = {"url": url, "upsert": upsert, "scope": "upload"}
        else:
            claims = {"url": path.removeprefix("/object/sign/"), "scope": "download"}
        match exchange.name.rpartition(".")[2]:
            case "wrong-path" | "other-path":
                claims["url"] = "avatars/u1/body.glb"
            case "get-with-upload-token":
                claims |= {"scope": "upload", "upsert": False}
            case "expired":
                claims["exp"] = self.server.now_s() - 1
        token = self.server.token(**claims)
        return token[:-6] + "AAAAAA" if exchange.name.endswith("tampered") else token

    def credential(self, said: str) -> dict[str, str]:
        token = {
            "service": self.server.service_key,
            "service, expired": self.server.token(role="service_role", exp=self.server.now_s() - 1),
            "anon": self.server.token(role="anon"),
            "sb_secret_xxx": "sb_secret_xxx",
            "user, expired": self.server.token(role="authenticated", exp=self.server.now_s() - 1),
            "user, signed with another secret": self.server.token(role="authenticated")[:-6] + "AAAAAA",
            'user, role "hacker"': self.server.token(role="hacker"),
            "user, no role claim": self.server.token(),
        }.get(said)
        if said == "none":
            return {}
        if said.startswith("apikey header only"):
            return {"apikey": self.server.service_key}
        if token is None:
            assert said in {"user", "other user"}, said
            token = self.server.token(role="authenticated")
        return {"apikey": token, "authorization": f"Bearer {token}"}

    def sent(self, exchange: Exchange) -> dict[str, Any]:
        headers = {name: value for name, value in exchange.headers.items() if name != "content-length"}
        headers |= self.credential(exchange.credential)
        if "if-none-match" in headers:
            headers["if-none-match"] = self.etags[headers["if-none-match"].strip('"')]
        length = int(exchange.headers.get("content-length", 0))
        if headers.get("content-type") == "multipart/form-data":
            del headers["content-type"]
            return {"headers": headers} | self.form(exchange, length)
        if headers.pop("transfer-encoding", "") == "chunked":
            return {"headers": headers, "content": chunks(21)}
        if "139 gzip bytes" in exchange.about or exchange.name == "gz.put":
            return {"headers": headers, "content": b"\0" * 139}
        body = self.filled(exchange.body).encode() or b"\0" * length
        if body.startswith(b"{") and "content-type" not in headers:
            headers["content-type"] = "application/json"
        return {"headers": headers, "content": body}

    def form(self, exchange: Exchange, length: int) -> dict[str, Any]:
        stated = re.search(r"cacheControl`?\"?=\"?([^,}]+)|`cacheControl` = \"(.+?)\"", exchange.body + exchange.about)
        life = next((one for one in stated.groups() if one), "") if stated else "3600"
        life = "31536000, immutable" if "immutable" in exchange.about else life
        facts = re.search(r"`metadata`=(\{.*?\})", exchange.about)
        name = exchange.path.partition("?")[0].rpartition("/")[2]
        kind = TYPES[name.rpartition(".")[2]]
        if exchange.name == "upload.default-mime":
            kind = "text/plain;charset=UTF-8"
        overhead = FORM_BYTES + len(life) - len("3600") + len(name) - len("body.glb")
        size = PLAIN_BYTES if facts else PLAIN_BYTES + length - overhead
        size = max(0, size) if length else 4
        data = {"cacheControl": life} | ({"metadata": facts.group(1)} if facts else {})
        return {"data": data, "files": {"file": ("f", b"\0" * size, kind)}}

    def filled(self, text: str) -> str:
        return text.replace("<other-uid>", "22222222-2222-2222-2222-222222222222").replace(
            "<uid>", "11111111-1111-1111-1111-111111111111"
        )

    def is_same(self, told: Any, recorded: Any, name: str = "") -> bool:
        """Ids and dates are wildcards; an ETag that was met before must be the same again."""
        if name in {"etag", "eTag"}:
            return bool(self.etags.setdefault(recorded.strip('"'), str(told)) == told)
        if name in UNKNOWN:
            return (told is None) == (recorded is None)
        if isinstance(recorded, dict):
            return bool(told.keys() == recorded.keys()) and all(
                self.is_same(told[key], value, key) for key, value in recorded.items()
            )
        if isinstance(recorded, list):
            return len(told) == len(recorded) and all(map(self.is_same, told, recorded))
        if isinstance(recorded, str):
            pattern = re.escape(self.filled(recorded)).replace("<JWT>", r"[\w-]+\.[\w-]+\.[\w-]+")
            return re.fullmatch(pattern, told) is not None
        return bool(told == recorded)


async def chunks(megabytes: int) -> AsyncIterator[bytes]:
    for _ in range(megabytes):
        yield b"\0" * 1_000_000


def is_dated(text: str) -> bool:
    return re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", text) is not None


async def differences(player: Player, exchange: Exchange) -> list[str]:
    answer = await player.play(exchange)
    found = [] if answer.status_code == exchange.status else [f"status {answer.status_code} {answer.text[:100]}"]
    for name, recorded in exchange.answer_headers.items():
        told = answer.headers.get(name, "")
        is_right = is_dated(told) if is_dated(recorded) else told == recorded
        if not (player.is_same(told, recorded, name) if name == "etag" else is_right):
            found.append(f"{name}: {told}")
    size = re.fullmatch(r"<(\d+) bytes>", exchange.answer)
    if size and len(answer.content) != int(size.group(1)):
        found.append(f"{len(answer.content)} bytes")
    if exchange.answer.startswith(("{", "[")):
        recorded = json.loads(exchange.answer)
        told = answer.json()
        if "abridged" in exchange.about:
            told = [one for one in told if one["name"] == recorded[0]["name"]]
        if not player.is_same(told, recorded):
            found.append(f"body {answer.text[:300]}")
    return found


async def test_the_fake_answers_as_the_recorded_server() -> None:
    if not RECORDING:
        pytest.skip("NOT HELD AGAINST THE RECORDING: SUPABASE_EXCHANGES is not set")
    player = Player()
    wrong, played = [], 0
    for exchange in read_recording():
        if exchange.name in NOT_PLAYED | POLICIES or exchange.name.startswith("tus."):
            continue
        played += 1
        wrong += [f"{exchange.name}: {text}" for text in await differences(player, exchange)]
    assert not wrong, "\n".join(wrong)
    assert played >= 100
