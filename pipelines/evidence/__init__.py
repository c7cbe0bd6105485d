"""Outside evidence: what other tools and people found about a candidate, as stamped JSON in evidence/<adapter>/.

The manual is evidence/README.md. `importing` reads what garak and promptfoo write.
"""

from pipelines.evidence.judging import Finding, collect, required
from pipelines.evidence.reading import directory, read
from pipelines.evidence.schema import Evidence
from pipelines.evidence.stamping import stamp, stamp_file, write

__all__ = ["Evidence", "Finding", "collect", "directory", "read", "required", "stamp", "stamp_file", "write"]
