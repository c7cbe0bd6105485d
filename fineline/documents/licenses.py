"""Licenses, and the duties of those who distribute what was made from licensed material.

A table of the duties that decide whether licenses are compatible, by the Hub's spelling and the SPDX id. It is not a summary of
the texts and not legal advice. A license that is not in the table is unknown, and an unknown license is never taken as
permissive.
"""

import re
from dataclasses import dataclass

# license (spelling of the Hub) | SPDX id, `-` for none | duties | licenses for derived works; all if empty
# duties: a attribution, s share-alike, n non-commercial, d no-derivatives, r use restrictions, b the base's name must be shown
_TABLE = """
apache-2.0 | Apache-2.0 | a |
mit | MIT | a |
isc | ISC | a |
bsd-2-clause | BSD-2-Clause | a |
bsd-3-clause | BSD-3-Clause | a |
bsd-3-clause-clear | BSD-3-Clause-Clear | a |
bsl-1.0 | BSL-1.0 | a |
zlib | Zlib | a |
ncsa | NCSA | a |
postgresql | PostgreSQL | a |
afl-3.0 | AFL-3.0 | a |
artistic-2.0 | Artistic-2.0 | a |
ecl-2.0 | ECL-2.0 | a |
unlicense | Unlicense | |
wtfpl | WTFPL | |
cc0-1.0 | CC0-1.0 | |
pddl | PDDL-1.0 | |
cc-by-2.0 | CC-BY-2.0 | a |
cc-by-2.5 | CC-BY-2.5 | a |
cc-by-3.0 | CC-BY-3.0 | a |
cc-by-4.0 | CC-BY-4.0 | a |
cc-by-sa-3.0 | CC-BY-SA-3.0 | a s | cc-by-sa-3.0 cc-by-sa-4.0
cc-by-sa-4.0 | CC-BY-SA-4.0 | a s | cc-by-sa-4.0 gpl-3.0
cc-by-nc-2.0 | CC-BY-NC-2.0 | a n |
cc-by-nc-3.0 | CC-BY-NC-3.0 | a n |
cc-by-nc-4.0 | CC-BY-NC-4.0 | a n |
cc-by-nd-4.0 | CC-BY-ND-4.0 | a d |
cc-by-nc-nd-3.0 | CC-BY-NC-ND-3.0 | a n d |
cc-by-nc-nd-4.0 | CC-BY-NC-ND-4.0 | a n d |
cc-by-nc-sa-2.0 | CC-BY-NC-SA-2.0 | a s n | cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
cc-by-nc-sa-3.0 | CC-BY-NC-SA-3.0 | a s n | cc-by-nc-sa-3.0 cc-by-nc-sa-4.0
cc-by-nc-sa-4.0 | CC-BY-NC-SA-4.0 | a s n | cc-by-nc-sa-4.0
cdla-permissive-1.0 | CDLA-Permissive-1.0 | a |
cdla-permissive-2.0 | CDLA-Permissive-2.0 | a |
cdla-sharing-1.0 | CDLA-Sharing-1.0 | a s | cdla-sharing-1.0
c-uda | C-UDA-1.0 | a r | c-uda
etalab-2.0 | etalab-2.0 | a |
odc-by | ODC-By-1.0 | a |
odbl | ODbL-1.0 | a s | odbl
gpl-2.0 | GPL-2.0-only | a s | gpl-2.0
gpl-2.0-or-later | GPL-2.0-or-later | a s | gpl-2.0-or-later gpl-2.0 gpl-3.0-or-later gpl-3.0 agpl-3.0
gpl-3.0 | GPL-3.0-only | a s | gpl-3.0 agpl-3.0
gpl-3.0-or-later | GPL-3.0-or-later | a s | gpl-3.0-or-later gpl-3.0 agpl-3.0-or-later agpl-3.0
agpl-3.0 | AGPL-3.0-only | a s | agpl-3.0
agpl-3.0-or-later | AGPL-3.0-or-later | a s | agpl-3.0-or-later agpl-3.0
lgpl-2.1 | LGPL-2.1-only | a s | lgpl-2.1 gpl-2.0 gpl-3.0 agpl-3.0
lgpl-3.0 | LGPL-3.0-only | a s | lgpl-3.0 gpl-3.0 agpl-3.0
mpl-2.0 | MPL-2.0 | a s | mpl-2.0 lgpl-2.1 lgpl-3.0 gpl-2.0 gpl-3.0 agpl-3.0
epl-2.0 | EPL-2.0 | a s | epl-2.0
eupl-1.2 | EUPL-1.2 | a s | eupl-1.2 gpl-2.0 gpl-3.0 agpl-3.0 lgpl-2.1 lgpl-3.0 mpl-2.0 epl-2.0 osl-3.0
osl-3.0 | OSL-3.0 | a s | osl-3.0
gfdl | GFDL-1.3-only | a s | gfdl
llama2 | - | a r | llama2
llama3 | - | a r b | llama3
llama3.1 | - | a r b | llama3.1
llama3.2 | - | a r b | llama3.2
llama3.3 | - | a r b | llama3.3
llama4 | - | a r b | llama4
gemma | - | a r | gemma
openrail | - | a r | openrail
openrail++ | - | a r | openrail++
bigscience-openrail-m | - | a r | bigscience-openrail-m
bigscience-bloom-rail-1.0 | - | a r | bigscience-bloom-rail-1.0
creativeml-openrail-m | - | a r | creativeml-openrail-m
bigcode-openrail-m | - | a r | bigcode-openrail-m
apple-amlr | - | a n r | apple-amlr
fair-noncommercial-research-license | - | a n r | fair-noncommercial-research-license
"""
_LETTERS = {
    "a": "attribution",
    "s": "share-alike",
    "n": "non-commercial",
    "d": "no-derivatives",
    "r": "use-restrictions",
    "b": "base-name-shown",
}
MEANINGS = {
    "attribution": "keep the notices and name the author",
    "share-alike": "distribute what is made from it under the same or a compatible license only",
    "non-commercial": "no commercial use",
    "no-derivatives": "distribute nothing that is made from it",
    "use-restrictions": "the license lists forbidden uses, and every recipient must receive this list",
    "base-name-shown": "the name of the model must contain the name of the base",
}
# other common spellings
_ALIASES = {
    "apache 2.0": "apache-2.0",
    "apache license 2.0": "apache-2.0",
    "apache2": "apache-2.0",
    "cc0": "cc0-1.0",
    "llama-2": "llama2",
    "llama-3": "llama3",
    "llama-3.1": "llama3.1",
    "llama-3.2": "llama3.2",
    "llama-3.3": "llama3.3",
    "llama-4": "llama4",
    "gemma terms of use": "gemma",
}
# These bind the distributed data, and state that what is computed from the data is not affected.
RESULTS_ARE_FREE = frozenset({"cdla-sharing-1.0", "c-uda"})


@dataclass(frozen=True)
class License:
    """One license of the table."""

    key: str
    """As the Hub spells it."""
    spdx: str | None
    duties: frozenset[str]
    """Some of `MEANINGS`."""
    onward: frozenset[str]
    """Keys of the licenses under which what is made from it may be distributed; all if empty."""


def _rows() -> dict[str, License]:
    found = {}
    for line in _TABLE.strip().splitlines():
        key, spdx, duties, onward = (cell.strip() for cell in line.split("|"))
        names = frozenset(_LETTERS[letter] for letter in duties.split())
        found[key] = License(key, None if spdx == "-" else spdx, names, frozenset(onward.split()))
    return found


TABLE = _rows()
_SPELLINGS = {**_ALIASES, **{row.spdx.lower(): key for key, row in TABLE.items() if row.spdx}, **{key: key for key in TABLE}}


def licenses_of(text: str) -> list[License] | None:
    """Return the licenses that apply under an id or an expression with AND; None if one of them is unknown.

    An expression with OR does not say which license was chosen, and WITH changes the terms in the table: both are unknown.
    """
    found = [known(part) for part in re.split(r"\s+AND\s+", text.strip())]
    return [license for license in found if license] if found and all(found) else None


def known(text: str) -> License | None:
    """Return the license of an id of the Hub or SPDX, in any case; None if it is not in the table."""
    return TABLE.get(_SPELLINGS.get(" ".join(text.lower().split()), ""))


def spdx(text: str) -> str | None:
    """Return the SPDX id or expression of a license; None if one of its licenses has none or is unknown."""
    found = licenses_of(text)
    ids = [license.spdx for license in found or [] if license.spdx]
    return " AND ".join(ids) if found and len(ids) == len(found) else None
