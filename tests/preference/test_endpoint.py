"""The behavior towards a server, and where the key is sent."""

import json
import socket

import pytest

from fineline.errors import FinelineError, InputError
from fineline.preference import endpoint
from fineline.preference.session import Settings
from tests.preference.conftest import connected, judging, prefer, prefers_longer, texts_below

KEY = "sk-hunter2-0123456789"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(project, status):
    def busy_first(body, number):
        return (status, {"Retry-After": "7"} if status == 429 else {}, b"busy") if number <= 2 else prefers_longer(body)

    with judging(busy_first) as (url, seen):
        judge, waited = connected(url)
        assert prefer("support", judge, Settings(limit=5)).measures["wins"].value == 5
    assert waited == ([7.0, 7.0] if status == 429 else [1.0, 2.0])
    assert len(seen) == 12


def test_a_server_that_stays_busy_is_an_error_after_five_attempts(project):
    def busy_later(body, number):
        return prefers_longer(body) if number <= 6 else (503, {}, b"down for today")

    with judging(busy_later) as (url, seen):
        judge, waited = connected(url)
        with pytest.raises(FinelineError) as caught:
            prefer("support", judge, Settings())
    assert f"target_generation, item 3: {url}: gave up after 5 attempts (HTTP 503: down for today)" in str(caught.value)
    assert (caught.value.exit_code, waited, len(seen)) == (1, [1.0, 2.0, 4.0, 8.0], 11)


@pytest.mark.parametrize(("asked", "waited"), [("3600", []), ("-5", [0.0] * 4), ("tomorrow", [1.0, 2.0, 4.0, 8.0])])
def test_the_pause_that_a_server_asks_for_is_limited(project, asked, waited):
    with judging(lambda *_: (429, {"Retry-After": asked}, b"")) as (url, _):
        judge, pauses = connected(url)
        with pytest.raises(FinelineError, match="gave up after"):
            prefer("support", judge, Settings())
    assert pauses == waited


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>hello</html>", b"{}", b'{"choices": []}', b'{"choices": [{"text": "FIRST"}]}', b"[1]", b"null", b"\xff\xfe"],
)
def test_a_reply_of_another_protocol_is_an_error_with_a_remedy(project, content):
    with judging(lambda *_: (200, {}, content)) as (url, _), pytest.raises(FinelineError) as caught:
        prefer("support", connected(url)[0], Settings())
    assert "the reply is not one of an OpenAI-compatible server" in str(caught.value)
    assert url in str(caught.value)
    assert "--endpoint is the address before /chat/completions" in str(caught.value)


def test_a_reply_without_text_is_unreadable(project):
    nothing = 200, {}, json.dumps({"choices": [{"message": {"content": None}, "finish_reason": "length"}]}).encode()
    with judging(lambda *_: nothing) as (url, _):
        assert prefer("support", connected(url)[0], Settings(limit=3)).measures["unreadable"].value == 3


def test_an_endless_reply_is_cut_off(project):
    with (
        judging(lambda *_: (200, {}, b" " * (2**20 + 1))) as (url, _),
        pytest.raises(FinelineError, match="more than 1,048,576 bytes"),
    ):
        prefer("support", connected(url)[0], Settings())


def test_a_truncated_reply_is_asked_for_again(project):
    with judging(lambda body, n: (200, {"Content-Length": "500"}, b"{") if n == 1 else prefers_longer(body)) as (url, seen):
        judge, waited = connected(url)
        prefer("support", judge, Settings(limit=1))
    assert (waited, len(seen)) == ([1.0], 3)


def test_a_server_that_times_out_is_an_error_after_five_attempts(project):
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # accepts and never answers
        judge, waited = connected(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", timeout=0.05)
        with pytest.raises(FinelineError, match=r"gave up after 5 attempts \(TimeoutError\)"):
            prefer("support", judge, Settings())
    assert len(waited) == 4


def test_a_server_that_is_down_is_an_error_at_once(project):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    judge, waited = connected(f"http://127.0.0.1:{port}/v1")
    with pytest.raises(FinelineError) as caught:
        prefer("support", judge, Settings())
    assert f"target_generation, item 0: http://127.0.0.1:{port}/v1: cannot be reached" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "start the server, or correct --endpoint" in str(caught.value)
    assert waited == []


def test_the_key_is_sent_to_the_judge_only(project, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with judging(prefers_longer) as (url, seen):
        judge, _ = connected(url, key_variable="JUDGE_KEY")
        prefer("support", judge, Settings())
    assert {call["key"] for call in seen} == {f"Bearer {KEY}"}
    assert KEY not in repr(judge)
    assert KEY not in "".join(capsys.readouterr())
    assert not [file for file, text in texts_below(tmp_path).items() if KEY in text]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500])
def test_a_key_repeated_by_the_server_is_not_printed(project, monkeypatch, status):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with (
        judging(lambda *_: (status, {}, f"Incorrect key: {KEY}\x1b[31m".encode())) as (url, _),
        pytest.raises(FinelineError) as caught,
    ):
        prefer("support", connected(url, key_variable="JUDGE_KEY")[0], Settings())
    assert KEY not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "Incorrect key: ***" in str(caught.value)
    assert caught.value.exit_code == (1 if status == 500 else 2)


def test_the_key_is_not_sent_to_a_redirect(project, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with (
        judging(prefers_longer) as (elsewhere, stolen),
        judging(lambda *_: (302, {"Location": f"{elsewhere}/chat/completions"}, b"")) as (url, _),
        pytest.raises(InputError, match="answers with a redirect"),
    ):
        prefer("support", connected(url, key_variable="JUDGE_KEY")[0], Settings())
    assert stolen == []


def test_requests_to_this_machine_bypass_the_proxy(project, monkeypatch):
    with judging(prefers_longer) as (url, _), judging(prefers_longer) as (proxy, seen):
        monkeypatch.setenv("http_proxy", proxy.removesuffix("/v1"))
        prefer("support", connected(url)[0], Settings(limit=1))
    assert seen == []


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is not set"),
        ("", "is not set"),
        ("a b", "is not a key"),
        ("a\nX: y", "is not a key"),
        ("schlüssel", "is not a key"),
    ],
)
def test_an_unusable_key_is_refused_without_printing_it(monkeypatch, value, problem):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("JUDGE_KEY", value)
    with pytest.raises(InputError, match=f"JUDGE_KEY {problem}") as caught:
        endpoint.connect("https://judge.example/v1", "m", key_variable="JUDGE_KEY")
    assert not value or value not in str(caught.value)


def test_a_refusal_without_a_key_names_the_option(project):
    with (
        judging(lambda *_: (401, {}, b"who are you")) as (url, _),
        pytest.raises(InputError, match=r"refuses a request without a key; pass --key-variable \(HTTP 401: who are you\)"),
    ):
        prefer("support", connected(url)[0], Settings())


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://judge.example", "found ftp; an http or https address is needed"),
        ("judge.example/v1", "found no scheme"),
        ("https:///v1", "an http or https address is needed"),
        ("https://judge.example:port/v1", "not a valid address"),
        ("https://me:secret@judge.example/v1", "without credentials"),
        ("https://judge.example/v1?key=secret", "without credentials"),
        ("https://judge.example/v1 x", "without spaces"),
        ("http://judge.example/v1", "http is not encrypted"),
        ("http://10.0.0.7:8000/v1", "http is not encrypted"),
        ("http://127.0.0.1.example/v1", "http is not encrypted"),
        ("http://localhost.example/v1", "http is not encrypted"),
    ],
)
def test_an_unsafe_address_is_refused(url, problem):
    with pytest.raises(InputError, match=problem) as caught:
        endpoint.connect(url, "m")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_this_machine_may_be_asked_in_the_clear(host):
    assert endpoint.connect(f"http://{host}:8000/v1/chat/completions", "m").url == f"http://{host}:8000/v1"


def test_plain_http_is_possible_with_the_option():
    assert endpoint.connect("http://judge.lan/v1/", "m", allow_plain_http=True).url == "http://judge.lan/v1"


@pytest.mark.parametrize("model", ["", " ", "a\nb"])
def test_a_judge_without_a_name_is_refused(model):
    with pytest.raises(InputError, match="--model"):
        endpoint.connect("https://judge.example/v1", model)
