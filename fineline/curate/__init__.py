"""Curation: raw rows in; checked, deduplicated rows in three splits out, and an account of every row."""
