"""Places in the WAL: LSNs as PostgreSQL writes them and as numbers of bytes, and the names of segments."""

FILE = 1 << 32
"""Bytes of WAL whose LSNs have the same first half; the names of their segments have the same second part."""


def lsn_to_int(lsn: str) -> int:
    """The byte position in the WAL that an LSN such as 0/3000028 names."""
    high, low = lsn.split("/")
    return int(high, 16) * FILE + int(low, 16)


def int_to_lsn(position: int) -> str:
    """The LSN of a byte position in the WAL, in its shortest spelling."""
    return f"{position // FILE:X}/{position % FILE:X}"


def plain_lsn(lsn: str) -> str:
    """The same LSN in the shortest spelling: since 19, PostgreSQL fills the second half up with zeros."""
    return int_to_lsn(lsn_to_int(lsn))


def segment_name(timeline: int, number: int, size: int) -> str:
    """The name of a segment by its number, counted from 0 where WAL begins; ``size``: of each, in bytes."""
    high, low = divmod(number, FILE // size)
    return f"{timeline:08X}{high:08X}{low:08X}"


def segment_number(name: str, size: int) -> int:
    """The number of a segment that has this name."""
    return int(name[8:16], 16) * (FILE // size) + int(name[16:], 16)


def timeline_of(name: str) -> int:
    """The timeline of a segment that has this name."""
    return int(name[:8], 16)
