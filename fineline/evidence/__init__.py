"""Outside evidence: results of other tools and people about a candidate, as stamped JSON in evidence/<adapter>/.

The manual is evidence/README.md. `importing` reads the reports of garak and promptfoo.
"""

from fineline.evidence.files import Judgment, collect, read, required, stamp, stamp_file, write
from fineline.evidence.schema import Evidence

__all__ = ["Evidence", "Judgment", "collect", "read", "required", "stamp", "stamp_file", "write"]
