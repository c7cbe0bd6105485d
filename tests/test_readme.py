"""The README on a fresh project: its configuration and its commands, through DVC and through Dagster."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import dagster as dg
import pytest
import yaml

from fineline.dagster.definitions import build_definitions
from fineline.project import params
from tests.conftest import ENVIRONMENT, ROOT, blocks, commands, readme_commands, shell, write_lines

SIGNED = ("keygen", "attest", "show", "approve", "promote")
"""Commands that need a key, in the order in which they run."""
NEW = "fineline new my-project"
HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The base model that the README takes from the Hub; the tests take a directory instead."""

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    assert {command.split()[1] for command in readme_commands("make")} <= targets


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_path_that_a_page_names_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(([\w./-]+)\)", text)) | set(
        re.findall(r"`((?:fineline|pipelines|tests|tools|assets|suites|benchmarks|docs)/[\w./]*)`", text)
    )
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


def test_the_commands_for_one_s_own_data_reach_a_release_candidate(made):
    answer = shell("fineline report support", made)
    assert answer.returncode == 0, answer.stderr
    assert "verdict:" in answer.stdout


@pytest.mark.parametrize(
    "command",
    [
        command
        for command in readme_commands("fineline")
        if ("home-en" in command or "doctor" in command) and command.split()[1] not in SIGNED and "releases/" not in command
    ],
)
def test_the_commands_that_look_back_work(made, command):
    answer = shell(command.replace("home-en", "support"), made)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip()


def test_the_commands_that_sign_work_in_their_order(made, tmp_path):
    verdict = json.loads((made / "reports" / "support" / "candidate.json").read_text())["verdict"]
    commands = [
        command.partition(" #")[0].replace("home-en", "support").strip()
        for command in readme_commands("fineline")
        if command.split()[1] in SIGNED or "releases/" in command
    ]
    assert [command.split()[1] for command in commands] == [*SIGNED, "verify"]
    environment = ENVIRONMENT | {"HOME": str(tmp_path), "FINELINE_KEY": str(tmp_path / ".config/fineline/keys/ada.pem")}
    for command in commands:
        answer = subprocess.run(
            command, shell=True, cwd=made, env=environment, input="y\n", capture_output=True, text=True, check=False
        )
        if "promote" in command and verdict != "pass":
            assert (answer.returncode, f"the verdict is {verdict!r}" in answer.stderr) == (3, True)
            return
        assert answer.returncode == 0, answer.stderr
    assert "in use in staging" in answer.stdout


@pytest.mark.slow
def test_a_new_project_takes_an_adapter_on_a_base_from_a_directory(tiny_base, tmp_path):
    assert NEW in readme_commands("fineline")
    (init,) = [command for command in readme_commands("fineline") if command.split()[1] == "init"]
    assert f"--base {HUB}" in init
    answer = shell(NEW, tmp_path)
    assert answer.returncode == 0, answer.stderr
    project = tmp_path / "my-project"
    write_lines(project / "tickets" / "commands.jsonl", commands())
    answer = shell(init.replace(HUB, f"{tiny_base} --base-license apache-2.0"), project)
    assert answer.returncode == 0, answer.stderr
    assert "next: dvc repro plan@support" in answer.stdout
    configured = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    assert configured["adapters"]["support"]["base"] in configured["bases"]
    assert shell("dvc status --json", project).returncode == 0


def test_the_configuration_of_the_readme_is_accepted(tmp_path):
    (example,) = (yaml.safe_load(block) for block in blocks("yaml"))
    base = {"owner": "a@example.com", "license": "apache-2.0", "path": "base"}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump({"bases": {"smollm2-135m": base}} | example), encoding="utf-8")
    assert params.load(file).adapter("support").evaluate.guards == ["mmlu_dev"]


def test_after_dvc_nothing_is_left_to_do_for_either_front(made):
    answer = shell("dvc repro", made)
    assert answer.returncode == 0
    assert "Data and pipelines are up to date." in answer.stdout
    lock = (made / "dvc.lock").read_bytes()
    definitions = build_definitions(made)
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.get_job_def("everything").execute_in_process(instance=instance)
    assert result.success
    actions = {
        event.asset_key: event.materialization.metadata["dvc/action"].value
        for event in result.get_asset_materialization_events()
    }
    assert set(actions.values()) == {"unchanged"}
    assert len(actions) == 9
    assert (made / "dvc.lock").read_bytes() == lock


def test_dvc_shows_what_curation_did(made, tmp_path):
    metrics = shell("dvc metrics show --json reports/support/curation.json", made)
    (report,) = json.loads(metrics.stdout)[""]["data"].values()
    assert report["data"]["kept"] + sum(report["data"]["removed"].values()) == report["data"]["rows_in"]
    plots = shell(f"dvc plots show --out {tmp_path}", made)
    assert plots.returncode == 0, plots.stderr
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for title in ("Rows left after each step", "Rows by length in tokens", "Rows by language"):
        assert title in page


def test_a_removed_result_comes_back_from_the_run_cache(made):
    shutil.rmtree(made / "models" / "adapters" / "support")
    answer = shell("dvc repro train@support", made)
    assert answer.returncode == 0, answer.stderr
    assert "loss" not in answer.stdout
    assert (made / "models" / "adapters" / "support" / "adapter_model.safetensors").is_file()


@pytest.mark.slow
def test_the_browser_front_answers(tmp_path):
    """The command of `make ui`, on a free port and with a separate history."""
    (start,) = re.findall(r"^\t(dagster dev .*)$", MAKEFILE, re.MULTILINE)
    assert "--host 127.0.0.1" in start
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = start.replace("--port 3000", f"--port {port}").split()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=ENVIRONMENT | {"DAGSTER_HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        query = b'{"query": "{assetNodes {assetKey {path}}}"}'
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql", data=query, headers={"Content-Type": "application/json"}
        )
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    content = answer.read().decode()
                break
            except OSError:
                assert time.monotonic() < deadline, "the web server did not answer"
                time.sleep(0.5)
        keys = [node["assetKey"]["path"] for node in json.loads(content)["data"]["assetNodes"]]
        assert ["home_en", "assess"] in keys
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=30)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
