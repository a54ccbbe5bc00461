"""Reading a backup_label file the way recovery does (``read_backup_label`` in xlogrecovery.c), and more strictly."""

import re
from dataclasses import dataclass


class BadLabelFileError(Exception):
    """The text is no backup_label file."""


PATTERN = re.compile(
    r"START WAL LOCATION: (?P<start_lsn>[0-9A-F]+/[0-9A-F]+) \(file (?P<walfile>[0-9A-F]{24})\)\n"
    r"CHECKPOINT LOCATION: (?P<checkpoint_lsn>[0-9A-F]+/[0-9A-F]+)\n"
    r"BACKUP METHOD: (?P<method>\w+)\n"
    r"BACKUP FROM: (?P<source>\w+)\n"
    r"START TIME: (?P<start_time>[^\n]+)\n"
    r"LABEL: (?P<label>[^\n]*)\n"
    r"START TIMELINE: (?P<timeline>\d+)\n"
)


@dataclass(frozen=True)
class LabelFile:
    """The lines of a backup_label file."""

    start_lsn: str
    walfile: str
    checkpoint_lsn: str
    method: str
    source: str
    start_time: str
    label: str
    timeline: int


def parse_label_file(text: str) -> LabelFile:
    """Its lines, each once and in order, and nothing else; raises BadLabelFileError."""
    match = PATTERN.fullmatch(text)
    if match is None:
        raise BadLabelFileError(f"this is no backup_label file: {text!r}")
    lines = match.groupdict()
    return LabelFile(timeline=int(lines.pop("timeline")), **lines)
