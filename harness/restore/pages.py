"""Pages of relations, as they lie in files: their checksums (``storage/checksum_impl.h``), and the torn ones."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.restore.snapshot import RELATION

PAGE = 8192
LANES = 32
"""The algorithm computes so many sums side by side, each over every 32nd word of the page."""
PRIME = np.uint32(16777619)
BASIS = np.array(
    [
        *(0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C),
        *(0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB),
        *(0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4),
        *(0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756),
    ],
    dtype=np.uint32,
)
CHECKSUM_WORD = 4  # of the page in 16-bit words: pd_checksum
UPPER_WORD = 7  # pd_upper, which is zero in a page that was never used


def torn_pages(folder: Path) -> int:
    """How many pages of the relations below a folder fail their checksum; the cluster must have checksums."""
    files = [pages_of(file) for file in relation_files(folder)]
    if not files:
        return 0
    pages, numbers = (np.concatenate(parts) for parts in zip(*files, strict=True))
    return int(np.count_nonzero(failing(pages, numbers)))


def relation_files(folder: Path) -> Iterator[Path]:
    """The files of relations below a data directory, or below the folder of a tablespace."""
    for path in folder.rglob("*"):
        top = path.relative_to(folder).parts[0]
        if (top in ("base", "global") or top.startswith("PG_")) and RELATION.fullmatch(path.name) and path.is_file():
            yield path


def pages_of(file: Path) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    """The whole pages of a file, and the numbers of their blocks."""
    content = file.read_bytes()
    pages = np.frombuffer(content[: len(content) // PAGE * PAGE], dtype="<u2").reshape(-1, PAGE // 2)
    segment = file.name.partition(".")[2]
    first = int(segment or 0) * (1 << 30) // PAGE
    return pages, np.arange(first, first + len(pages), dtype=np.uint32)


def failing(pages: NDArray[np.uint16], numbers: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Does each page fail its checksum? One that was never used has none."""
    wrong: NDArray[np.bool_] = (checksums(pages, numbers) != pages[:, CHECKSUM_WORD]) & (pages[:, UPPER_WORD] != 0)
    return wrong


def checksums(pages: NDArray[np.uint16], numbers: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """The checksum that each page should have; ``numbers`` are those of the blocks."""
    blank = pages.copy()
    blank[:, CHECKSUM_WORD] = 0
    words = blank.view("<u4").reshape(len(pages), PAGE // 4 // LANES, LANES)
    sums = np.tile(BASIS, (len(pages), 1))
    for row in range(words.shape[1]):
        sums = mixed(sums, words[:, row])
    for _ in range(2):
        sums = mixed(sums, np.uint32(0))
    total = np.bitwise_xor.reduce(sums, axis=1) ^ numbers
    checksum: NDArray[np.uint16] = (total % np.uint32(65535) + np.uint32(1)).astype(np.uint16)
    return checksum


def mixed(sums: NDArray[np.uint32], words: NDArray[np.uint32] | np.uint32) -> NDArray[np.uint32]:
    """One step of the algorithm, a variant of FNV-1a."""
    step = sums ^ words
    return (step * PRIME) ^ (step >> np.uint32(17))
