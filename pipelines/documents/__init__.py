"""Documents of an adapter, made from its records and never typed twice."""

from pipelines.documents.chain import license_chain
from pipelines.documents.compatibility import conflicts, refusals, require
from pipelines.documents.link import Link
from pipelines.documents.records import gather
from pipelines.documents.writing import contents, write

__all__ = ["Link", "conflicts", "contents", "gather", "license_chain", "refusals", "require", "write"]
