"""The stages: each reads what it needs, calls functions that know no project, and writes its artifact and reports."""
