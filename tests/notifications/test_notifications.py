"""fineline.notifications: each receiver gets its notices at least once, and no notice contains data."""

import hashlib
import hmac
import json
import os
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from fineline.errors import InputError
from fineline.notifications import notice, outbox
from fineline.notifications.notice import Notice

HELLO = Notice("approval", "home-en", "home-en: a candidate passed", ("Candidate sha256:1.",), "sha256:1", notice.now())


class Web(ThreadingHTTPServer):
    """A receiver of POSTs that may be out of order."""

    status = 200

    def __init__(self):
        received = self.received = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.server.status == 200:
                    received.append((self.path, dict(self.headers), body))
                self.send_response(self.server.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/hook/secret-part"


class Mail(socketserver.ThreadingTCPServer):
    """A mail server: as much of RFC 5321 as a client needs to hand over a message."""

    def __init__(self):
        received = self.received = []

        class Handler(socketserver.StreamRequestHandler):
            def say(self, line):
                self.wfile.write(line.encode() + b"\r\n")

            def handle(self):
                self.say("220 here")
                for raw in self.rfile:
                    word = raw.split()[0].upper()
                    if word == b"DATA":
                        self.say("354 go on")
                        received.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                        self.say("250 taken")
                    elif word == b"QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 fine")

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def web():
    with running(Web()) as server:
        yield server


class running:
    def __init__(self, server):
        self.server = server

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self.server

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def configure(root, **receivers):
    (root / notice.FILE).write_text(yaml.safe_dump({"receivers": receivers}))


def test_a_webhook_gets_the_notice_as_signed_json(tmp_path, web, monkeypatch):
    monkeypatch.setenv("HOOK", web.address)
    monkeypatch.setenv("HOOK_KEY", "key")
    configure(tmp_path, ops={"webhook": {"url_env": "HOOK", "secret_env": "HOOK_KEY"}})
    assert outbox.put(tmp_path, HELLO)
    assert outbox.deliver(tmp_path).delivered == ("ops: home-en: a candidate passed",)
    ((path, headers, body),) = web.received
    assert path == "/hook/secret-part"
    assert json.loads(body) == HELLO.content
    assert headers["X-Fineline-Id"] == HELLO.id
    assert headers["X-Fineline-Signature"] == f"sha256={hmac.new(b'key', body, hashlib.sha256).hexdigest()}"


def test_a_chat_gets_text_in_which_nothing_is_markup(tmp_path, web):
    configure(tmp_path, chat={"slack": {"url": web.address}})
    outbox.put(tmp_path, Notice("failed", "home-en", "a <!channel> & b", (), "1"))
    outbox.deliver(tmp_path)
    assert json.loads(web.received[0][2]) == {"text": "a &lt;!channel&gt; &amp; b"}


def test_mail_has_a_subject_and_an_id(tmp_path):
    with running(Mail()) as server:
        mail = {"host": "127.0.0.1", "port": server.server_address[1], "encryption": "none"}
        configure(tmp_path, boss={"email": mail | {"sender": "f@example.com", "to": ["a@example.com", "b@example.com"]}})
        outbox.put(tmp_path, HELLO)
        assert outbox.deliver(tmp_path).problems == ()
    (message,) = server.received
    assert "Subject: home-en: a candidate passed" in message
    assert f"Message-ID: <{HELLO.id}@fineline>" in message
    assert "To: a@example.com, b@example.com" in message


def test_an_occasion_is_reported_once(tmp_path, web):
    configure(tmp_path, ops={"webhook": {"url": web.address}})
    assert outbox.put(tmp_path, HELLO)
    assert not outbox.put(tmp_path, HELLO)
    outbox.deliver(tmp_path)
    assert not outbox.put(tmp_path, HELLO)
    outbox.deliver(tmp_path)
    assert len(web.received) == 1


def test_a_receiver_that_is_down_gets_it_later_and_the_others_once(tmp_path, web):
    configure(tmp_path, up={"webhook": {"url": web.address}}, down={"webhook": {"url": f"http://127.0.0.1:{free_port()}"}})
    outbox.put(tmp_path, HELLO)
    first = outbox.deliver(tmp_path, 1000)
    assert first.problems == ("down: it cannot be reached (ConnectionRefusedError)",)
    assert first.waiting == 1
    assert outbox.deliver(tmp_path, 1001) == outbox.Delivery((), (), 1), "not yet time"
    assert outbox.deliver(tmp_path, 1031).problems
    assert outbox.deliver(tmp_path, 1062) == outbox.Delivery((), (), 1), "waits twice as long"
    configure(tmp_path, up={"webhook": {"url": web.address}}, down={"webhook": {"url": web.address}})
    last = outbox.deliver(tmp_path, 1100)
    assert last == outbox.Delivery(("down: home-en: a candidate passed",), (), 0)
    assert len(web.received) == 2


def test_a_receiver_that_refuses_is_asked_again(tmp_path, web):
    configure(tmp_path, ops={"webhook": {"url": web.address}})
    outbox.put(tmp_path, HELLO)
    web.status = 503
    assert outbox.deliver(tmp_path, 0).problems == ("ops: it returned HTTP status 503",)
    web.status = 200
    assert outbox.deliver(tmp_path, 100).waiting == 0


def test_problems_never_name_the_address(tmp_path, monkeypatch):
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{free_port()}/T0/B0/verysecret")
    configure(tmp_path, chat={"slack": {"url_env": "HOOK"}})
    outbox.put(tmp_path, HELLO)
    assert "verysecret" not in str(outbox.deliver(tmp_path))


NO_ADDRESSES = ["http://host:port/", "http://[::1/x", "hooks.example/x", "file:///etc/hostname", "http://a b/"]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_an_invalid_address_does_not_affect_other_receivers(tmp_path, web, monkeypatch, address):
    monkeypatch.setenv("PLACE", address)
    configure(tmp_path, good={"webhook": {"url": web.address}}, wrong={"webhook": {"url_env": "PLACE"}})
    outbox.put(tmp_path, HELLO)
    for moment in (1.0, 2.0):
        found = outbox.deliver(tmp_path, moment)
    assert len(web.received) == 1
    assert found.waiting == 1
    assert address not in " ".join(outbox.deliver(tmp_path, 1e9).problems)


def test_a_truncated_notice_does_not_affect_others(tmp_path, web):
    configure(tmp_path, good={"webhook": {"url": web.address}})
    outbox.put(tmp_path, HELLO)
    (tmp_path / ".fineline" / "outbox" / "waiting" / "00.json").write_text("")
    found = outbox.deliver(tmp_path)
    assert len(found.delivered) == 1
    assert "set aside" in found.problems[0]
    assert found.waiting == 0


def test_receivers_filter_by_event_and_adapter(tmp_path):
    configure(
        tmp_path,
        all={"webhook": {"url": "http://a.example"}},
        some={"webhook": {"url": "http://a.example"}, "events": ["failed"], "adapters": ["home-en"]},
    )
    known = notice.load_receivers(tmp_path)
    assert known.wanting("failed", "home-en") == ["all", "some"]
    assert known.wanting("failed", "support") == ["all"]
    assert known.wanting("promoted", "home-en") == ["all"]


def test_without_a_file_nothing_waits(tmp_path):
    assert outbox.put(tmp_path, HELLO)
    assert outbox.deliver(tmp_path) == outbox.Delivery((), (), 0)


def test_a_notice_survives_an_invalid_file(tmp_path, web):
    (tmp_path / notice.FILE).write_text("receivers: {ops: {webhok: {}}}")
    assert outbox.put(tmp_path, HELLO)
    with pytest.raises(InputError, match=r"receivers\.ops"):
        outbox.deliver(tmp_path)
    configure(tmp_path, ops={"webhook": {"url": web.address}})
    assert outbox.deliver(tmp_path).delivered


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("receivers: [", "cannot be read"),
        ("receivers: {a: {slack: {url: http://x}}, a: {slack: {url: http://y}}}", "duplicate key 'a'"),
        ("receivers: {a: {}}", "receivers.a: exactly one of webhook, slack, email is required, found none"),
        ("receivers: {a: {webhook: {}}}", "exactly one of url, url_env is required"),
        ("receivers: {a: {webhook: {url: 'ftp://key@host'}}}", "receivers.a.webhook.url"),
        ("receivers: {a: {slack: {url: http://x}, events: [exploded]}}", "receivers.a.events.0"),
        ("receivers: {A b: {slack: {url: http://x}}}", "not a valid name"),
    ],
)
def test_an_invalid_file_is_reported_with_the_key_and_without_addresses(tmp_path, content, complaint):
    (tmp_path / notice.FILE).write_text(content)
    with pytest.raises(InputError) as why:
        notice.load_receivers(tmp_path)
    assert complaint in str(why.value)
    assert "key@host" not in str(why.value)


def test_a_variable_that_is_not_set_is_named(tmp_path):
    configure(tmp_path, chat={"slack": {"url_env": "NOT_SET_ANYWHERE"}})
    outbox.put(tmp_path, HELLO)
    assert "the variable NOT_SET_ANYWHERE is not set" in outbox.deliver(tmp_path).problems[0]


def test_old_marks_are_removed(tmp_path):
    outbox.put(tmp_path, HELLO)
    mark = tmp_path / ".fineline" / "outbox" / "reported" / HELLO.id
    os.utime(mark, (0, 0))
    outbox.deliver(tmp_path, time.time())
    assert not mark.exists()


def test_a_verdict_becomes_a_request_or_a_report():
    passed = notice.verdict_notice("home-en", "pass", (), "sha256:1", "retrain/home-en/x")
    assert passed.event == "approval"
    assert "fineline approve home-en" in passed.text
    assert "retrain/home-en/x" in passed.text
    failed = notice.verdict_notice("home-en", "inconclusive", ("mmlu: 3 points",), "sha256:1")
    assert (failed.event, failed.lines) == ("verdict", ("Candidate sha256:1.", "mmlu: 3 points"))
    assert passed.id != notice.verdict_notice("home-en", "pass", (), "sha256:2", "retrain/home-en/x").id


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
