"""What may go wrong, and the book of it: armed by the run, taken once by whichever process meets the chance.

The book is a folder, because those who take from it are killed at any moment: a fault is a file that is renamed from
`armed` to `fired`, which happens whole or not at all, and for one of many at once.
"""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

HTTP = (
    "run answers 500, nothing taken",
    "run answers 500, taken all the same",
    "run answers 429 with seconds",
    "run answers 429 with a date",
    "run answers 401",
    "run answers 422",
    "run hangs after taking",
    "run is cut off after taking",
    "run answers 200 without id",
    "run answers slowly, the hook comes first",
    "run dribbles its answer",
    "status answers 500",
    "status answers 429",
    "status hangs",
    "status answers 404 early",
    "status is no JSON",
    "status is a word nobody knows",
    "status dribbles its answer",
    "cancel fails",
    "health answers 500",
    "health is throttled",
    "health is unhealthy",
)
PLATFORM = (
    "job taken and forgotten",
    "job handed to two workers",
    "job-take is cut off",
    "result expired",
    "result lost",
    "job-done answers 400",
    "time to live over while running",
    "progress after the end",
    "no worker for a while",
    "endpoint killed",
    "both endpoints down for a while",
)
HOOK = (
    "hook dropped",
    "hook refused",
    "hook doubled",
    "hook without body",
    "hook is half a body",
    "hook delayed",
    "hook replayed late",
    "hook forged",
    "hook with another job's id",
    "storm of hooks",
)
WORKER = (
    "worker dies in mid-job",
    "worker dies, its heartbeat goes on",
    "worker leaves in mid-job",
    "worker leaves in mid-poll",
    "worker out of memory",
    "worker hangs",
    "worker ends what was given up",
    "worker answers any text",
    "worker answers a list",
    "worker refuses the photo",
    "worker process killed",
)
STORAGE = (
    "upload answers 503",
    "upload stored, answer lost",
    "upload address expired",
    "upload refused",
    "upload cut off",
    "download answers 503",
    "download address expired",
    "download is slow",
    "manifest without files",
    "manifest of another attempt",
    "manifest with NaN",
    "store fails the dispatcher",
    "disk full",
)
BACKEND = (
    "dispatcher killed between commit and send",
    "dispatcher killed before the id is kept",
    "dispatcher killed in the effect",
    "dispatcher killed",
    "replica killed",
    "database connections dropped",
    "database down",
    "clock ahead or behind",
    "price missing",
    "avatar erased meanwhile",
)
GROUPS: Mapping[str, tuple[str, ...]] = {
    "HTTP": HTTP,
    "Platform": PLATFORM,
    "Hook": HOOK,
    "Worker": WORKER,
    "Storage": STORAGE,
    "Backend": BACKEND,
}
EVERY = tuple(name for group in GROUPS.values() for name in group)

COSTLY = frozenset(
    {
        "run answers 500, nothing taken",
        "job taken and forgotten",
        "status answers 404 early",
        "time to live over while running",
        "worker dies, its heartbeat goes on",
        "worker out of memory",
        "worker hangs",
        "worker ends what was given up",
        "worker answers any text",
        "worker answers a list",
        "upload address expired",
        "upload refused",
        "download address expired",
        "manifest without files",
        "manifest of another attempt",
        "manifest with NaN",
        "dispatcher killed between commit and send",
    }
)
"""Each takes one of a job's three executions: it strikes a job at most once, or bad luck alone would exhaust it."""

SUBJECT = re.compile(rb"/objects/avatars/[0-9a-f-]{36}/[0-9a-f-]{36}/([0-9a-f-]{36})/")


ATTEMPT = re.compile(r'"attempt_id": ?"([0-9a-f-]{36})"')


def attempt_of(input_json: str) -> str:
    found = ATTEMPT.search(input_json)
    return found[1] if found else ""


def subject_of(body: bytes) -> str:
    """The avatar that a job's input is about; empty for any other text."""
    found = SUBJECT.search(body)
    return found[1].decode() if found else ""


class Faults:
    """The book, as any process of the run opens it."""

    def __init__(self, folder: Path) -> None:
        self.armed, self.gone, self.struck = folder / "armed", folder / "fired", folder / "struck"
        self.marks, self.broken = folder / "marks", folder / "broken"

    def create(self) -> None:
        for folder in (self.armed, self.gone, self.struck, self.marks, self.broken):
            folder.mkdir(parents=True)

    def arm(self, name: str) -> None:
        (self.armed / f"{name}~{uuid4().hex}").touch()

    def take(self, name: str, subject: str = "") -> bool:
        """True for one caller for each time it was armed: the fault is fired now."""
        for entry in os.scandir(self.armed):
            if not entry.name.startswith(f"{name}~"):
                continue
            if name in COSTLY and not self._strike(subject):
                return False
            try:
                os.rename(entry.path, self.gone / entry.name)  # noqa: PTH104  a path object costs more than the rename
            except FileNotFoundError:  # another process was quicker
                continue
            return True
        return False

    def take_any(self, names: tuple[str, ...], subject: str = "") -> str | None:
        """The first of `names` that is armed, fired now."""
        armed = {entry.name.partition("~")[0] for entry in os.scandir(self.armed)}
        return next((name for name in names if name in armed and self.take(name, subject)), None)

    def note(self, name: str) -> None:
        """Fired without having been armed: the run did it itself."""
        (self.gone / f"{name}~{uuid4().hex}").touch()

    def fired(self) -> Counter[str]:
        return Counter(entry.name.partition("~")[0] for entry in os.scandir(self.gone))

    def still_armed(self) -> Counter[str]:
        return Counter(entry.name.partition("~")[0] for entry in os.scandir(self.armed))

    def mark(self, what: str, subject: str) -> None:
        (self.marks / f"{what}~{subject}").touch()

    def is_marked(self, what: str, subject: str) -> bool:
        return (self.marks / f"{what}~{subject}").exists()

    def break_promise(self, sentence: str) -> None:
        """Seen by some process: something that must never happen."""
        (self.broken / uuid4().hex).write_text(sentence)

    def broken_promises(self) -> list[str]:
        return [file.read_text() for file in self.broken.iterdir()]

    def _strike(self, subject: str) -> bool:
        if not subject:
            return False
        with contextlib.suppress(FileExistsError):
            (self.struck / subject).touch(exist_ok=False)
            return True
        return False
