"""A server on the loopback that answers as the Hugging Face Hub does, for one repository at one revision."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Literal

REPO = "acme/tiny"
GATED = "acme/gated"
"""A repository whose license the caller has not accepted."""
REVISION = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(directory: Path, kind: Literal["models", "datasets"]) -> Iterator[dict[str, str]]:
    """Serve the files below `directory` as `acme/tiny`; yields the environment of a process that takes it for the Hub.

    A process of its own, because huggingface_hub reads its endpoint once, at import.
    """
    prefix = "" if kind == "models" else "datasets/"

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            files = sorted(file for file in directory.rglob("*") if file.is_file())
            names = {file.relative_to(directory).as_posix(): file for file in files}
            name = path.removeprefix(f"/{prefix}{REPO}/resolve/{REVISION}/")
            headers = {"Content-Type": "application/json"}
            if path == f"/api/{kind}/{REPO}/revision/{REVISION}":
                siblings = [{"rfilename": name} for name in names]
                content = json.dumps({"id": REPO, "sha": REVISION, "siblings": siblings}).encode()
            elif path.startswith(f"/api/{kind}/{REPO}/tree/{REVISION}"):
                tree = [{"type": "file", "path": n, "size": f.stat().st_size, "oid": "0" * 40} for n, f in names.items()]
                content = json.dumps(tree).encode()
            elif name in names:
                content = names[name].read_bytes()
                headers = {
                    "ETag": f'"{sha256(content).hexdigest()}"',
                    "X-Repo-Commit": REVISION,
                    "Content-Type": "application/octet-stream",
                }
            else:
                gated = f"/{GATED}/" in path
                self.send_response(403 if gated else 404)
                self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
                self.end_headers()
                return
            self.send_response(200)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    yield os.environ | {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    server.shutdown()
    server.server_close()
