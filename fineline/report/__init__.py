"""The HTML report of an adapter: one self-contained page, from its reports, its provenance and the policy in force.

`page.write` makes reports/<adapter>/index.html at the end of stage `assess`. That page is in git, so it is determined by files
that are in git, and quotes no text of a row. `page.write_local` makes a copy in .fineline/ that also shows examples and the
present approval status; `fineline report ADAPTER --open` opens it.
"""
