"""The delimiter of a CSV file, decided by its first lines."""

import csv

from fineline.errors import InputError

COMMON = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}


def chosen(sample: list[str], given: str | None, name: str) -> str:
    """Return the delimiter to read with: the given one, or the one that the first lines indicate.

    Raises:
        InputError: The given one gives a single column, and another one splits every line into equally many.
    """
    likely = _likely(sample)
    if given is None:
        return likely or ","
    widths = _widths(sample, given)
    if likely and likely != given and widths and widths[0] == 1 and len(set(_widths(sample, likely))) == 1:
        raise InputError(
            f"{name}: there is one column with the delimiter {given!r}, but every line seems to be separated by"
            f" {likely!r} ({COMMON[likely]}); set `delimiter: {likely!r}` or leave it out"
        )
    return given


def _likely(sample: list[str]) -> str | None:
    """Return the common delimiter that splits most records into as many fields as the header; None without one."""
    best: tuple[float, int] = (0, 1)
    likely = None
    for candidate in COMMON:
        widths = _widths(sample, candidate)
        if not widths or widths[0] == 1:
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths)
        if (alike, widths[0]) > best:
            best, likely = (alike, widths[0]), candidate
    return likely


def _widths(sample: list[str], candidate: str) -> list[int]:
    """Return the number of fields of each record, without blank lines and a last record that may be cut."""
    records = [len(record) for record in csv.reader(sample, delimiter=candidate) if record]
    return records[:-1] if len(records) > 2 else records
