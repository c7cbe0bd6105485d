"""Run stage `curate` for one adapter: `python -m pipelines.curate NAME`."""

from fineline.stages.curate import run
from fineline.stages.entry import main

if __name__ == "__main__":
    main("curate", run)
