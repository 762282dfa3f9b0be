"""The frame's own list of events and keys against the vocabulary: what it sends is kept whole."""

import re
from pathlib import Path

from analytics.vocabulary import VOCABULARY, Source

EVENTS_TS = Path(__file__).resolve().parents[2] / "embed" / "src" / "api" / "events.ts"
FACTS = re.compile(r"export interface EventFacts \{(.*?)\n\}", re.DOTALL)
ENTRY = re.compile(r"^  (\w+): (\{.*?\}|Record<never, never>);", re.DOTALL | re.MULTILINE)
KEY = re.compile(r"(\w+)\??:")


def test_every_event_and_key_of_the_frame_is_listed() -> None:
    facts = FACTS.search(EVENTS_TS.read_text())
    assert facts is not None
    entries = ENTRY.findall(facts.group(1))
    assert len(entries) > 5
    for name, keys in entries:
        event = VOCABULARY[name]
        assert Source.EMBED in event.sources, name
        assert set(KEY.findall(keys)) <= event.keys, name
        required = set(re.findall(r"(\w+):", keys))
        assert event.required <= required, name
