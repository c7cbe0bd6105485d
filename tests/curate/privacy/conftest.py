"""A cleaner that redacts everything."""

import pytest

from pipelines.curate.privacy import Cleaner
from pipelines.params.curation import Privacy


@pytest.fixture(scope="session")
def cleaner() -> Cleaner:
    return Cleaner(Privacy())
