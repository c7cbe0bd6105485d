"""Check of a chat template in a separate process, because a template can run without end.

`python -m fineline.chat.check DIRECTORY` renders a short conversation twice and prints a JSON object: `differs` (the two texts
differ) and `refused` (why the conversation cannot be rendered, or null).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from fineline.chat.format import ChatFormat
from fineline.errors import InputError

SECONDS = 60
"""Limit of the process."""
_CONVERSATION = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]


def check_template(directory: Path, seconds: float = SECONDS) -> str | None:
    """Check that the chat template of a model comes to an end and gives the same text each time.

    Returns:
        Why a short conversation cannot be rendered, which the settings of an adapter may change; None if it can.

    Raises:
        InputError: The template does not end within the limit, or gives two texts.
    """
    command = [sys.executable, "-m", "fineline.chat.check", str(directory)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, env=os.environ)
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{directory}: the chat template does not end within {seconds:g} seconds; use the publisher's chat_template.jinja"
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise InputError(f"{directory}: the chat template cannot be rendered: {last}; use the publisher's chat_template.jinja")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["differs"]:
        raise InputError(f"{directory}: the chat template gives another text each time; use another template")
    refused: str | None = found["refused"]
    return refused


def main(directory: str) -> None:
    """Print the result for a model directory; runs in the new process."""
    texts = set()
    refused = None
    for _ in range(2):
        try:
            chat = ChatFormat.load(Path(directory))
            texts.add(chat.answer(_CONVERSATION).prompt + chat.prompt(_CONVERSATION[:1]))
        except InputError as error:
            refused = str(error)
    print(json.dumps({"differs": len(texts) > 1, "refused": refused}))


if __name__ == "__main__":
    main(*sys.argv[1:])
