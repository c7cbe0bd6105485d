"""docs/production.md: what of it can be done on one machine is done here, with a real Postgres where there is one."""

import configparser
import os
import pwd
import re
import shutil
import socket
import subprocess
from pathlib import Path

import dagster as dg
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").is_dir() else []


def unprivileged():
    """Postgres refuses to be root; the user that its package made will do."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        return pwd.getpwnam("nobody").pw_uid


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """The address of a separate database."""
    if not SERVERS:
        pytest.skip("no Postgres is installed (postgresql)")
    binaries, user = SERVERS[-1], unprivileged()
    # the home of a test is closed to others, and this server may run as another user
    place = Path("/tmp") / f"fineline-postgres-{os.getpid()}"
    place.mkdir()
    if user is not None:
        os.chown(place, user, -1)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]

    def run(*command, **options):
        return subprocess.run([str(binaries / command[0]), *command[1:]], check=True, capture_output=True, user=user, **options)

    data = place / "data"
    run("initdb", "--auth=trust", "--username=fineline", "--pgdata", str(data), cwd=place)
    options = f"-h 127.0.0.1 -p {port} -k {place} -c fsync=off"
    log = str(place / "log")
    start = [str(binaries / "pg_ctl"), "start", "--wait", "--pgdata", str(data), "--log", log, "--options", options]
    subprocess.run(start, check=True, user=user, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "fineline", "fineline", cwd=place)
        yield f"postgresql+psycopg2://fineline@127.0.0.1:{port}/fineline", run
    finally:
        run("pg_ctl", "stop", "--mode=immediate", "--pgdata", str(data), cwd=place)
        shutil.rmtree(place)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """DAGSTER_HOME as the page has it made."""
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def seen(address, monkeypatch):
    """Rows of every materialization that the database holds."""
    monkeypatch.setenv("FINELINE_POSTGRES", address)
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["home_en", "train"]))
        return event.asset_materialization.metadata["rows"].value if event else None


@pytest.mark.slow
def test_state_lies_in_postgres_and_comes_back_from_a_backup(postgres, home, monkeypatch):
    address, run = postgres
    monkeypatch.setenv("FINELINE_POSTGRES", address)
    with dg.DagsterInstance.get() as instance:
        assert "Postgres" in type(instance.event_log_storage).__name__ + type(instance.run_storage).__name__
        event = dg.AssetMaterialization(dg.AssetKey(["home_en", "train"]), metadata={"rows": 7})
        instance.report_runless_asset_event(event)
    assert seen(address, monkeypatch) == 7
    dump = Path("/tmp") / f"fineline-{os.getpid()}.dump"
    (backup,) = re.findall(r"^pg_dump (.*--file=)dagster\.dump \"\$\{FINELINE_POSTGRES/\+psycopg2/\}\"$", PAGE, re.MULTILINE)
    (restore,) = re.findall(
        r"^pg_restore (.*) --dbname=\"\$\{FINELINE_POSTGRES/\+psycopg2/\}\" dagster\.dump$", PAGE, re.MULTILINE
    )
    try:
        run("pg_dump", *backup.replace("--file=", f"--file={dump}").split(), address.replace("+psycopg2", ""), cwd="/tmp")
        other = dg.AssetMaterialization(dg.AssetKey(["home_en", "train"]), metadata={"rows": 8})
        with dg.DagsterInstance.get() as instance:
            instance.report_runless_asset_event(other)
        assert seen(address, monkeypatch) == 8
        run("pg_restore", *restore.split(), f"--dbname={address.replace('+psycopg2', '')}", str(dump), cwd="/tmp")
    finally:
        dump.unlink(missing_ok=True)
    assert seen(address, monkeypatch) == 7


@pytest.mark.slow
def test_an_upgrade_finds_the_tables_up_to_date(postgres, home, monkeypatch):
    address, _ = postgres
    monkeypatch.setenv("FINELINE_POSTGRES", address)
    with dg.DagsterInstance.get():
        pass
    command = [shutil.which("dagster") or "dagster", "instance", "migrate"]
    answer = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_the_instance_frees_slots_and_lets_retrainings_take_turns(home, monkeypatch):
    served, own = (yaml.safe_load(file.read_text()) for file in (DEPLOY / "dagster.yaml", ROOT / ".dagster" / "dagster.yaml"))
    assert served["run_monitoring"]["free_slots_after_run_end_seconds"] > 0
    assert served["telemetry"] == own["telemetry"] == {"enabled": False}
    for content in (served, own):
        assert content["concurrency"]["pools"] == {"default_limit": 1, "granularity": "op"}
        (limit,) = content["concurrency"]["runs"]["tag_concurrency_limits"]
        assert (limit["key"], limit["limit"]) == ("dagster/partition", 1)


@pytest.mark.parametrize("unit", sorted(file.name for file in (DEPLOY / "systemd").iterdir()))
def test_a_unit_starts_a_command_that_exists_on_the_loopback_as_an_unprivileged_user(unit):
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(DEPLOY / "systemd" / unit)
    service = parsed["Service"]
    program, *arguments = service["ExecStart"].split()
    assert shutil.which(Path(program).name)
    assert "--host" not in arguments or arguments[arguments.index("--host") + 1] == "127.0.0.1"
    assert service["User"] == "fineline"
    assert service["KillSignal"] == "SIGINT"
    words = [Path(program).name, *(word for word in arguments if word in ("code-server", "start", "run"))]
    accepted = subprocess.run([*words, "--help"], capture_output=True, text=True, check=True).stdout
    assert not [option for option in arguments if option.startswith("--") and option not in accepted]


def test_the_ports_of_workspace_and_units_are_the_same():
    (server,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    unit = (DEPLOY / "systemd" / "fineline-code.service").read_text()
    assert f"--port {server['grpc_server']['port']}" in unit
    assert "proxy_pass http://127.0.0.1:3000;" in (DEPLOY / "nginx.conf").read_text()
    assert "--port 3000" in (DEPLOY / "systemd" / "fineline-webserver.service").read_text()


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_the_proxy_s_configuration_is_accepted(tmp_path):
    key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=fineline", "-days", "1"]
    subprocess.run(
        [*key, "-keyout", str(tmp_path / "privkey.pem"), "-out", str(tmp_path / "fullchain.pem")],
        check=True,
        capture_output=True,
    )
    server = (DEPLOY / "nginx.conf").read_text().replace("/etc/fineline/tls", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(f"events {{}}\nhttp {{\n{server}\n}}\n")
    answer = subprocess.run(["nginx", "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_every_file_and_unit_that_the_page_names_is_there():
    for path in re.findall(r"\]\(\.\./([\w./-]+)\)", PAGE):
        assert (ROOT / path).exists()
    for unit in set(re.findall(r"`(fineline-\w+)`", PAGE)):
        assert (DEPLOY / "systemd" / f"{unit}.service").exists()
