"""The stages: each reads its inputs, calls functions that know no project, and writes its artifacts and reports."""
