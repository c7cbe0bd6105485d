"""Run stage `ingest` for one adapter: `python -m pipelines.ingest NAME`."""

from fineline.stages.entry import main
from fineline.stages.ingest import run

if __name__ == "__main__":
    main("ingest", run)
