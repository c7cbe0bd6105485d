"""The stages: each reads its inputs, calls functions that know no project, and writes its artifacts and reports."""

import os

# Threads that wait for each other at the end of a matrix product keep their cores busy unless this is set. One other process is
# then enough to make training several times slower. The OpenMP library reads the variable when it is loaded, along with torch.
if "GOMP_SPINCOUNT" not in os.environ:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
