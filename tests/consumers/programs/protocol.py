"""How a consumer's program is asked and answers. The standard library only: every consumer's environment runs this file.

    python PROGRAM REQUEST.json ANSWER.json [REQUEST.json ANSWER.json ...]

A request contains:
    form        directory of the form: a model, or an adapter
    base        directory of the base model, for an adapter; else null
    messages    list of conversations to answer greedily, each a list of messages
    new_tokens  largest number of tokens of an answer
    ends        ids of the tokens that end an answer
    rows        list of {"prompt": ids, "answer": ids}: the log-likelihood of the answer after the prompt is wanted
    dtype       type of the computation, such as "float32"

An answer contains:
    versions          package -> version
    prompts           ids of each conversation, by the consumer's own tokenizer and chat template
    answers           ids of each answer, without the end token
    loglikelihoods    of each row, in nats
    samples           true if the consumer draws tokens at random unless a request asks for greedy decoding; else left out
    base              the same of the base without the adapter, or null
    seconds           time of the answers
    error             traceback, instead of all else, if the consumer failed
"""

import json
import os
import sys
import traceback
from importlib.metadata import version
from pathlib import Path


def serve(answer, packages):
    """Answer every request of the command line, each in a process of its own: one that crashes does not take others with it.

    Args:
        answer: Returns the answer to a request, without versions.
        packages: Packages whose versions are reported.
    """
    files = sys.argv[1:]
    for request, out in zip(files[::2], files[1::2], strict=True):
        child = os.fork()
        if not child:
            _run(answer, packages, request, out)
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not Path(out).exists():
            _write(out, {"error": f"the process ended with status {status} without an answer"})


def _run(answer, packages, request, out):
    try:
        found = answer(json.loads(Path(request).read_text(encoding="utf-8")))
        found["versions"] = {package: version(package) for package in packages}
    except BaseException:  # whatever a consumer does, its words are the answer
        found = {"error": traceback.format_exc()}
    _write(out, found)


def _write(out, found):
    part = Path(f"{out}.part")
    part.write_text(json.dumps(found), encoding="utf-8")
    part.replace(out)


def without_end(ids, ends):
    """Return the ids before the first one that ends an answer."""
    return next((ids[:place] for place, token in enumerate(ids) if token in ends), ids)
