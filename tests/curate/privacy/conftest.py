"""A cleaner that redacts everything."""

import pytest

from fineline.curate.privacy import Cleaner
from fineline.project.params.curation import Privacy


@pytest.fixture(scope="session")
def cleaner() -> Cleaner:
    return Cleaner(Privacy())
