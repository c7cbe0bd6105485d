"""Run stage `plan` for one adapter: `python -m pipelines.plan NAME`."""

from fineline.stages.entry import main
from fineline.stages.plan import run

if __name__ == "__main__":
    main("plan", run)
