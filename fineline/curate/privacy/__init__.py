"""Personal data and secrets in text: where they are, and what stands in their place. The manual is docs/privacy.md."""

from fineline.curate.privacy.cleaner import Cleaned, Cleaner
from fineline.curate.privacy.finding import KINDS, Finding

__all__ = ["KINDS", "Cleaned", "Cleaner", "Finding"]
