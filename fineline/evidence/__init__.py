"""Outside evidence: what other tools and people found about a candidate, as stamped JSON in evidence/<adapter>/.

The manual is evidence/README.md. `importing` reads what garak and promptfoo write.
"""

from fineline.evidence.judging import Finding, collect, required
from fineline.evidence.reading import directory, read
from fineline.evidence.schema import Evidence
from fineline.evidence.stamping import stamp, stamp_file, write

__all__ = ["Evidence", "Finding", "collect", "directory", "read", "required", "stamp", "stamp_file", "write"]
