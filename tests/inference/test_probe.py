"""Logits of a model directory from a new process."""

import os
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM

from fineline.errors import FinelineError
from fineline.inference import probe

TOKENS = [[5, 6, 7, 8], [9, 10], [11, 12, 13]]


def is_running(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_new_process_computes_row_after_row_until_no_more_are_wanted(tiny_base):
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
    before = psutil.Process().children()
    with closing(probe.fresh_logits(tiny_base, TOKENS)) as logits:
        for own, expected in zip(logits, probe.torch_logits(model, TOKENS[:2]), strict=False):
            np.testing.assert_allclose(own, expected, atol=1e-4)
        (started,) = (process for process in psutil.Process().children() if process not in before)
    assert not is_running(started)


def test_the_process_ends_with_the_one_that_started_it(tiny_base):
    program = (
        "import sys; from pathlib import Path; from fineline.inference import probe\n"
        f"logits = probe.fresh_logits(Path({str(tiny_base)!r}), {TOKENS})\n"
        "next(logits); print('ready', flush=True); sys.stdin.read()"
    )
    stage = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert stage.stdout.readline() == "ready\n"
    (started,) = psutil.Process(stage.pid).children()
    stage.kill()  # no handler of the stage can end it
    stage.communicate()
    deadline = time.monotonic() + 20
    while is_running(started) and time.monotonic() < deadline:
        os.sched_yield()
    assert not is_running(started)


def test_a_directory_that_cannot_be_loaded_is_an_error_with_the_reason(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FinelineError, match=r"cannot be loaded by a new process:\n(.|\n)*model_type"):
        list(probe.fresh_logits(tmp_path, TOKENS))
