"""A server on the loopback that answers as the Hugging Face Hub does, for one repository at one revision, its newest."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Literal
from urllib.parse import unquote

REPO = "acme/tiny"
GATED = "acme/gated"
"""A repository whose license the caller has not accepted."""
REVISION = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(
    directory: Path,
    kind: Literal["models", "datasets"],
    repo: str = REPO,
    *,
    broken: set[str] | None = None,
    downloaded: list[str] | None = None,
) -> Iterator[dict[str, str]]:
    """Serve the files below `directory` as a repository; yields the environment of a process that takes it for the Hub.

    A process of its own, because huggingface_hub reads its endpoint once, at import.

    Args:
        broken: Files of which every connection breaks half-way, for as long as they are in the set.
        downloaded: The names of the files that are downloaded are appended to it.
    """
    prefix = "" if kind == "models" else "datasets/"

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = unquote(self.path.partition("?")[0])
            for asked in ("/resolve/main/", "/revision/main", "/tree/main"):
                path = path.replace(asked, asked.replace("main", REVISION))
            files = sorted(file for file in directory.rglob("*") if file.is_file())
            names = {file.relative_to(directory).as_posix(): file for file in files}
            name = path.removeprefix(f"/{prefix}{repo}/resolve/{REVISION}/")
            headers = {"Content-Type": "application/json"}
            if path in (f"/api/{kind}/{repo}", f"/api/{kind}/{repo}/revision/{REVISION}"):
                siblings = [{"rfilename": name} for name in names]
                content = json.dumps({"id": repo, "sha": REVISION, "siblings": siblings}).encode()
            elif path.startswith(f"/api/{kind}/{repo}/tree/{REVISION}"):
                below = path.removeprefix(f"/api/{kind}/{repo}/tree/{REVISION}").strip("/")
                at = f"{below}/" if below else ""
                inside = {name: file for name, file in names.items() if name.startswith(at)}
                folders: list[str] = []
                if "recursive=false" in self.path.lower():
                    deeper = {name.removeprefix(at) for name in inside if "/" in name.removeprefix(at)}
                    folders = sorted({at + name.partition("/")[0] for name in deeper})
                    inside = {name: file for name, file in inside.items() if "/" not in name.removeprefix(at)}
                tree = [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in folders]
                tree += [{"type": "file", "path": n, "size": f.stat().st_size, "oid": "0" * 40} for n, f in inside.items()]
                content = json.dumps(tree).encode()
            elif name in names:
                content = names[name].read_bytes()
                if body and downloaded is not None:
                    downloaded.append(name)
                if body and broken and name in broken:
                    content = content[: len(content) // 2]
                headers = {
                    "ETag": f'"{sha256(content).hexdigest()}"',
                    "X-Repo-Commit": REVISION,
                    "Content-Type": "application/octet-stream",
                }
            else:
                gated = f"/{GATED}/" in path
                self.send_response(403 if gated else 404)
                known = path.startswith((f"/{prefix}{repo}/", f"/api/{kind}/{repo}/"))
                self.send_header("X-Error-Code", "GatedRepo" if gated else "EntryNotFound" if known else "RepoNotFound")
                self.end_headers()
                return
            self.send_response(200)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(content) if name not in names else names[name].stat().st_size))
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
