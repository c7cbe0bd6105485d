"""Personal data and secrets in text: recognition and replacement. Manual: docs/privacy.md."""

from fineline.curate.privacy.cleaner import Cleaned, Cleaner
from fineline.curate.privacy.match import KINDS, PrivacyMatch

__all__ = ["KINDS", "Cleaned", "Cleaner", "PrivacyMatch"]
