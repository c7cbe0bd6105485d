"""Ordinary rows cost next to nothing. The figure itself is in docs/privacy.md; here an order of magnitude is held."""

import random
import time

from tests.curate.privacy.clean_text import prose


def test_a_row_of_prose_takes_microseconds(cleaner):
    rng = random.Random(0)
    rows = [prose(rng) for _ in range(2000)]
    fastest = float("inf")
    for _ in range(5):
        started = time.process_time()
        for row in rows:
            cleaner.clean(row)
        fastest = min(fastest, (time.process_time() - started) / len(rows))
    assert fastest < 40e-6, f"{fastest * 1e6:.0f} µs a row; 15 are expected on an idle machine"
