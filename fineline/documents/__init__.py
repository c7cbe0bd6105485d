"""Documents of an adapter, made from its records."""

from fineline.documents.chain import license_chain
from fineline.documents.compatibility import Link, conflicts, refusals, require
from fineline.documents.gathering import gather
from fineline.documents.writing import contents, write

__all__ = ["Link", "conflicts", "contents", "gather", "license_chain", "refusals", "require", "write"]
