"""Run stage `export` for one adapter: `python -m pipelines.export NAME`."""

from fineline.stages.entry import main
from fineline.stages.export import run

if __name__ == "__main__":
    main("export", run)
