"""Columns that say that a row must not be learned, or not by its text alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from fineline.curate.reading import Fields, Reading, Rejected, Unwanted, is_learned

_MARKS = (("label", ("label", "kto_tag")), ("weight", ("weight",)))
_MEDIA = ("image", "images", "audio", "audios", "video", "videos")
_PLACEHOLDERS = ("<image", "<audio", "<video")
_MEDIA_KEYS = frozenset(_MEDIA)
_MARK_KEYS = frozenset(name for _, names in _MARKS for name in names)


def check_marks(fields: Fields, stratify: str | None, reading: Reading) -> None:
    """Check the columns `weight` (0 or 1) and `label` (true or false, as in KTO).

    Args:
        stratify: A column that is a class, and not a judgment of the answer.

    Raises:
        Unwanted: The row must not be learned.
    """
    if fields.lacks(_MARK_KEYS):
        return
    for ours, names in _MARKS:
        if not fields.has(ours, *names):
            continue
        column = next((name for name in names if fields.has(ours, name)), ours)
        if ours in fields.renamed:
            column, value = fields.renamed[ours], fields.get(ours)
        else:
            value = fields.usual.get(column)
        taken = ours not in fields.renamed and column in fields.renamed.values()
        if taken or column == stratify:
            continue  # the column has another meaning here
        learned = is_learned(value)
        if learned is False:
            raise Unwanted(f"marked as not to be learned by `{column}`")
        if learned:
            fields.used.add(column)
        elif ours == "weight":
            fields.used.add(column)
            reading.notes.add("other_weights")


def check_media(fields: Fields, messages: Sequence[Mapping[str, Any]]) -> None:
    """Check that no message refers to a picture or a recording in another column.

    Raises:
        Rejected: One does.
    """
    if fields.lacks(_MEDIA_KEYS) or not any(fields.has(name, name) for name in _MEDIA):
        return
    if any(sign in message["content"] for message in messages for sign in _PLACEHOLDERS):
        raise Rejected("refers to an image, audio or video of the row, and only text can be learned")
