"""Which character separates the fields of a CSV file: a pure decision over its first lines."""

import csv

from fineline.errors import InputError

COMMON = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}


def chosen(sample: list[str], given: str | None, name: str) -> str:
    """The delimiter to read with: the given one, or what the first lines tell.

    Raises:
        InputError: With the given one there is a single column, while another one splits every line alike.
    """
    told = _told(sample)
    if given is None:
        return told or ","
    widths = _widths(sample, given)
    if told and told != given and widths and widths[0] == 1 and len(set(_widths(sample, told))) == 1:
        raise InputError(
            f"{name}: with {given!r} as delimiter there is one column, and every line looks separated by"
            f" {told!r} ({COMMON[told]}); set `delimiter: {told!r}` or leave it out"
        )
    return given


def _told(sample: list[str]) -> str | None:
    """The common delimiter that splits the header and, of those, the most records into as many fields; None if none does."""
    best: tuple[float, int] = (0, 1)
    told = None
    for candidate in COMMON:
        widths = _widths(sample, candidate)
        if not widths or widths[0] == 1:
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths)
        if (alike, widths[0]) > best:
            best, told = (alike, widths[0]), candidate
    return told


def _widths(sample: list[str], candidate: str) -> list[int]:
    """Fields per record, blank lines left out; the last record of a longer sample may be cut, so it does not count."""
    records = [len(record) for record in csv.reader(sample, delimiter=candidate) if record]
    return records[:-1] if len(records) > 2 else records
