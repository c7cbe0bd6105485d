"""Outside evidence: results of other tools and people about a candidate, as stamped JSON in evidence/<adapter>/.

The manual is evidence/README.md. `importing` reads the reports of garak and promptfoo.
"""

from fineline.evidence.judging import Judgment, collect, required
from fineline.evidence.reading import read
from fineline.evidence.schema import Evidence
from fineline.evidence.stamping import stamp, stamp_file, write

__all__ = ["Evidence", "Judgment", "collect", "read", "required", "stamp", "stamp_file", "write"]
