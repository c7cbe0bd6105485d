"""Documents of an adapter, made from its records."""

from fineline.documents.chain import Link, conflicts, license_chain, refusals, require
from fineline.documents.gathering import gather
from fineline.documents.writing import contents, write

__all__ = ["Link", "conflicts", "contents", "gather", "license_chain", "refusals", "require", "write"]
