"""A pooler in transaction mode, as hosted Postgres has one in front: every transaction may run on another connection.

It hands each one to the connection that has rested longest, so that whatever a client left behind on the last one
(a prepared statement, a setting, a lock) is missed at once.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import make_url

PROTOCOL_3 = 196_608
ASKS_FOR_ENCRYPTION = (80_877_103, 80_877_104)
NO = b"N"
AUTHENTICATION_OK = b"R" + struct.pack("!ii", 8, 0)
IDLE = b"I"
WAITS_FOR_ANSWER = (b"Q", b"S")
"""Query and Sync: what the server answers up to "ready"."""

Message = tuple[bytes, bytes]


class Backend:
    """One connection to the server, with what it said at its start."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.greeting = b""

    @classmethod
    async def open(cls, socket_path: str, user: str, database: str) -> "Backend":
        backend = cls(*await asyncio.open_unix_connection(socket_path))
        words = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database)) + b"\0"
        backend.writer.write(struct.pack("!ii", len(words) + 8, PROTOCOL_3) + words)
        while (message := await read_message(backend.reader))[0] != b"Z":
            if message[0] == b"E":
                raise ConnectionError(message[1])
            if message[0] in {b"S", b"K"}:
                backend.greeting += packed(message)
        return backend


class TransactionPooler:
    def __init__(self, url: str, size: int) -> None:
        parts = make_url(url)
        self.socket_path = f"{parts.query['host']}/.s.PGSQL.{parts.port or 5432}"
        self.user, self.database, self.size = parts.username or "postgres", parts.database or "", size
        self.resting: asyncio.Queue[Backend] = asyncio.Queue()
        self.transactions = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._greet(reader, writer)
            await self._relay(reader, writer)
        writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length, code = struct.unpack("!ii", await reader.readexactly(8))
            await reader.readexactly(length - 8)
            if code not in ASKS_FOR_ENCRYPTION:
                break
            writer.write(NO)
        backend = await self.resting.get()
        self.resting.put_nowait(backend)
        writer.write(AUTHENTICATION_OK + backend.greeting + packed((b"Z", IDLE)))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The connection is given back between "ready, idle" and telling the client so."""
        held: Backend | None = None
        while (message := await read_message(reader))[0] != b"X":
            if held is None:
                held = await self.resting.get()
            held.writer.write(packed(message))
            if message[0] not in WAITS_FOR_ANSWER:
                continue
            answer = b""
            while (told := await read_message(held.reader))[0] != b"Z":
                answer += packed(told)
            if told[1] == IDLE:
                self.transactions += 1
                self.resting.put_nowait(held)
                held = None
            writer.write(answer + packed(told))


async def read_message(reader: asyncio.StreamReader) -> Message:
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


def packed(message: Message) -> bytes:
    return message[0] + struct.pack("!i", len(message[1]) + 4) + message[1]


@asynccontextmanager
async def pooling(url: str, size: int = 3) -> AsyncIterator[tuple[str, TransactionPooler]]:
    """The database of `url` behind a pooler on a free port of this machine."""
    pooler = TransactionPooler(url, size)
    backends = [await Backend.open(pooler.socket_path, pooler.user, pooler.database) for _ in range(size)]
    for backend in backends:
        pooler.resting.put_nowait(backend)
    server = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"postgresql+psycopg://{pooler.user}@127.0.0.1:{port}/{pooler.database}", pooler
    server.close()
    for backend in backends:
        backend.writer.close()
        await backend.writer.wait_closed()
