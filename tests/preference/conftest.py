"""A judge on the loopback interface, and an evaluated adapter whose answers it compares."""

import hashlib
import json
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from fineline.preference import endpoint, session

CANDIDATE, BASE, CHAMPION = (f"sha256:{letter * 64}" for letter in "cbd")


@contextmanager
def judging(reply):
    """A server of the protocol on an ephemeral port, closed at the end; yields its address and what it was sent.

    Args:
        reply: Makes of the request's body and number a text, or (status, headers, bytes).
    """
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({"path": self.path, "body": body, "key": self.headers.get("Authorization")})
            answer = reply(body, len(seen))
            if isinstance(answer, str):
                answer = 200, {}, json.dumps({"choices": [{"message": {"role": "assistant", "content": answer}}]}).encode()
            status, headers, content = answer
            self.send_response(status)
            for header, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()


def shown(body):
    """The two answers as the judge sees them."""
    text = body["messages"][1]["content"]
    return [re.search(rf"<{place}_answer>\n(.*)\n</{place}_answer>", text, re.S)[1] for place in ("first", "second")]


def prefers_longer(body, _number=0):
    """The reply of a judge that looks at the length only."""
    first, second = map(len, shown(body))
    return "FIRST" if first > second else "SECOND" if second > first else "TIE"


def prefer(name, judge, settings, against="base"):
    """Read the answers and compare them, as the command does."""
    return session.prefer(session.read_answers(name, against), judge, settings)


def connected(url, **changes):
    """The endpoint at an address, and the pauses that it would have made."""
    made = endpoint.connect(url, "judge-1", **changes)
    waited = []
    object.__setattr__(made, "pause", waited.append)
    return made, waited


def record(item, answer, task="target_generation", **changes):
    """The record of an item."""
    hashes = {
        f"{kind}_hash": hashlib.sha256(f"{kind} {task} {item}".encode()).hexdigest() for kind in ("item", "prompt", "target")
    }
    question = {"question": f"How is item {item}?", "answer": answer, "expected": "x"}
    return {"task": task, "item": item, "cluster": str(item), "scores": {task: 1.0}, **question, **hashes} | changes


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An evaluated adapter `support` whose answers are longer than its base's; returns a function that evaluates it again."""
    monkeypatch.chdir(tmp_path)
    artifacts = {"base": ("base", BASE), "candidate": ("adapter", CANDIDATE), "champion": ("adapter", CHAMPION)}

    def evaluate(**arms):
        report = tmp_path / "reports" / "support"
        samples = report / "evaluation" / "samples"
        samples.mkdir(parents=True, exist_ok=True)
        for arm, records in arms.items():
            (samples / f"{arm}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
        named = {arm: dict(zip(("kind", "digest"), artifacts[arm], strict=True)) for arm in arms}
        (report / "gate.json").write_text(json.dumps({"arms": named}))

    evaluate(
        candidate=[record(item, f"a long answer to {item}") for item in range(12)],
        base=[record(item, f"short {item}") for item in range(12)],
    )
    return evaluate


def texts_below(directory):
    """Path -> content of every file."""
    return {path: path.read_text(errors="replace") for path in directory.rglob("*") if path.is_file()}
