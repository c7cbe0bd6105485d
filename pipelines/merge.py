"""Run stage `merge` for one adapter: `python -m pipelines.merge NAME`."""

from fineline.stages.entry import main
from fineline.stages.merge import run

if __name__ == "__main__":
    main("merge", run)
