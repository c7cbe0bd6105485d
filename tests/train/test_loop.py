"""The loop: it learns, resumes with the same bytes, keeps the best weights, and explains failures."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fineline import adapters
from fineline.chat.tokens import IGNORED, TokenizedRow
from fineline.errors import FinelineError, InputError
from fineline.models.config import dtype
from fineline.project.params.training import Train
from fineline.stages import train as stage
from fineline.train import checkpoints, loop, memory, progress, trainer
from tests.conftest import ENVIRONMENT, ROOT

KEYS = {"method": "lora", "rank": 4, "alpha": 8, "learning_rate": 0.01, "epochs": 2, "batch_size": 8, "dropout": 0.1, "seed": 3}
CHILD = """
import os, signal, sys
from pathlib import Path
from fineline.train import loop, trainer
from tests.train.test_loop import config, data

base, place, kill_at, signum = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
ended = trainer.CheckpointCallback.on_step_end

def on_step_end(self, args, state, control, **rest):
    ended(self, args, state, control, **rest)
    if state.global_step == kill_at:
        os.kill(os.getpid(), signum)

trainer.CheckpointCallback.on_step_end = on_step_end
loop.train(base, *data(), config(), report=place / "report", scratch=place / "scratch", between=0.0)
"""


def data(count=60):
    """Rows to learn: numbers that count up, after a random prompt."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for number in range(count):
        prompt = torch.randint(3, 250, (4 + number % 9,), generator=generator).tolist()
        answer = [(prompt[-1] + step) % 250 + 3 for step in range(5)]
        made.append(TokenizedRow(prompt + answer, [IGNORED] * len(prompt) + answer))
    return made[:-12], made[-12:]


def config(**keys):
    return Train.model_validate(KEYS | keys).model_copy(update={"recompute": bool(keys.get("recompute")), "dequantize": False})


def train(base, place, between=60.0, rows=None, **keys):
    given = rows or data()
    return loop.train(base, *given, config(**keys), report=place / "report", scratch=place / "scratch", between=between)


def digest(model, place: Path) -> str:
    place.mkdir()
    adapters.save(model, place)
    return (place / "adapter_model.safetensors").read_bytes().hex()


@pytest.fixture(scope="module")
def undisturbed(tiny_base, tmp_path_factory):
    place = tmp_path_factory.mktemp("undisturbed")
    result = train(tiny_base, place)
    return result, digest(result.model, place / "adapter"), place


def test_it_learns_and_repeats_itself_bit_for_bit(tiny_base, tmp_path, undisturbed):
    result, expected, place = undisturbed
    again = train(tiny_base, tmp_path, between=0.0)
    assert digest(again.model, tmp_path / "adapter") == expected
    curve = (place / "report" / "loss.csv").read_text().splitlines()
    assert curve[0] == "step,loss,learning_rate,tokens_per_second"
    assert len(curve) == 1 + result.metrics["steps"] == 13
    assert result.metrics["train_loss"] < float(curve[1].split(",")[1])
    assert result.metrics["tokens"] == 2 * sum(len(row.input_ids) for row in data()[0])


@pytest.mark.parametrize(("kill_at", "signum"), [pytest.param(6, signal.SIGTERM, marks=pytest.mark.slow), (8, signal.SIGKILL)])
def test_a_killed_run_resumes_and_ends_with_the_same_bytes(tiny_base, tmp_path, undisturbed, kill_at, signum):
    """At the end of the first epoch, and within the second. Dropout draws random numbers throughout."""
    _, expected, _ = undisturbed
    command = [sys.executable, "-c", CHILD, str(tiny_base), str(tmp_path), str(kill_at), str(int(signum))]
    child = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert child.returncode != 0
    found = checkpoints.latest(tmp_path / "scratch")
    assert found is not None
    if signum == signal.SIGTERM:
        assert "resumes from there" in child.stderr
    resumed = train(tiny_base, tmp_path)
    assert resumed.metrics["resumed_at"] in (kill_at - 1, kill_at, kill_at + 1)
    assert resumed.metrics["tokens"] == 2 * sum(len(row.input_ids) for row in data()[0])
    assert digest(resumed.model, tmp_path / "adapter") == expected
    steps = [int(line.split(",")[0]) for line in (tmp_path / "report" / "loss.csv").read_text().splitlines()[1:]]
    assert steps == list(range(1, 13))


def test_with_two_accelerators_one_is_used_and_said(tiny_base, tmp_path, undisturbed, monkeypatch, capsys):
    monkeypatch.setattr(trainer.TrainingArguments, "n_gpu", property(lambda self: 2))
    result = train(tiny_base, tmp_path)
    assert digest(result.model, tmp_path / "adapter") == undisturbed[1]
    assert "2 accelerators are visible; the training uses the first (cpu)" in capsys.readouterr().out


@pytest.mark.parametrize("optimizer", ["adamw-8bit", "paged-adamw"])
def test_other_optimizers_resume_too(tiny_base, tmp_path, optimizer):
    straight = train(tiny_base, tmp_path / "straight", optimizer=optimizer, dropout=0.0)
    part = tmp_path / "part"
    with pytest.raises(FinelineError, match="resumes from there"):
        interrupted(tiny_base, part, optimizer=optimizer, dropout=0.0)
    resumed = train(tiny_base, part, optimizer=optimizer, dropout=0.0)
    assert digest(resumed.model, tmp_path / "one") == digest(straight.model, tmp_path / "two")


def interrupted(base, place, **keys):
    """Start a run that receives SIGTERM at its third step."""
    with pytest.MonkeyPatch.context() as patch:
        begun = trainer.CheckpointCallback.on_step_end

        def on_step_end(self, args, state, control, **rest):
            if state.global_step == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            begun(self, args, state, control, **rest)

        patch.setattr(trainer.CheckpointCallback, "on_step_end", on_step_end)
        train(base, place, **keys)


def test_both_precisions_learn_the_same(tiny_base, tmp_path):
    losses = {}
    for precision in ("bf16", "fp32"):
        result = train(tiny_base, tmp_path / precision, precision=precision, dropout=0.0)
        losses[precision] = result.metrics["validation_loss"]
        assert result.model.get_base_model().get_input_embeddings().weight.dtype == dtype(precision)
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
    assert losses["bf16"] != losses["fp32"]


def test_packs_and_accumulation_train_too(tiny_base, tmp_path):
    result = train(tiny_base, tmp_path, packing=64, batch_size=2, accumulation=2)
    assert result.metrics["steps"] < 12
    assert result.metrics["tokens"] == 2 * sum(len(row.input_ids) for row in data()[0])


def test_recomputed_blocks_give_the_same_weights(tiny_base, tmp_path, undisturbed):
    result = train(tiny_base, tmp_path, recompute=True)
    assert digest(result.model, tmp_path / "adapter") == undisturbed[1]


def test_unpacked_four_bit_weights_learn_the_same(tiny_base, tmp_path):
    packed = train(tiny_base, tmp_path / "packed", method="qlora")
    unpacked = loop.train(
        tiny_base,
        *data(),
        config(method="qlora").model_copy(update={"dequantize": True}),
        report=tmp_path / "report",
        scratch=tmp_path / "scratch",
    )
    assert digest(unpacked.model, tmp_path / "one") == digest(packed.model, tmp_path / "two")


def test_the_best_weights_are_kept_and_a_run_without_gain_stops(tiny_base, tmp_path):
    keys = {"epochs": 12, "validations": 12, "early_stopping": 2, "learning_rate": 0.05, "keep": "best"}
    result = train(tiny_base, tmp_path, **keys)
    assert result.metrics["stopped_early"]
    assert result.metrics["steps"] < 72
    curve = [line.split(",") for line in (tmp_path / "report" / "validation_loss.csv").read_text().splitlines()[1:]]
    losses = {int(step): float(value) for step, value in curve}
    assert result.metrics["validation_loss"] == min(losses.values()) == losses[result.metrics["best_step"]]
    assert result.metrics["best_step"] < result.metrics["steps"]


def test_keeping_the_best_needs_validation_rows(tiny_base, tmp_path):
    with pytest.raises(InputError, match="need validation rows"):
        train(tiny_base, tmp_path, rows=(data()[0], []), keep="best")


def test_a_loss_that_is_not_finite_stops_the_run(tiny_base, tmp_path):
    with pytest.raises(FinelineError, match=r"the loss became .*lower `train\.learning_rate`"):
        train(tiny_base, tmp_path, learning_rate=1e30, warmup=0.0, epochs=10)


def test_a_diverging_loss_stops_the_run():
    progress.refuse_divergence([2.0, 1.0, 0.5, 4.1, 0.4], 50)
    with pytest.raises(FinelineError, match=r"diverges: it was 2\.000 at the start and is 5\.000 at step 50"):
        progress.refuse_divergence([2.0, 1.0, 4.0, 6.0, 5.0], 50)


def test_a_full_disk_is_reported_and_the_last_checkpoint_stays(tiny_base, tmp_path, monkeypatch):
    with pytest.raises(FinelineError):
        interrupted(tiny_base, tmp_path)
    before = checkpoints.latest(tmp_path / "scratch")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "_save", full)
    with pytest.raises(FinelineError, match="the disk is full"):
        train(tiny_base, tmp_path, between=0.0)
    assert checkpoints.latest(tmp_path / "scratch") == before


def test_out_of_memory_names_the_largest_part_and_a_remedy():
    predicted = {"base": 10 * 2**30, "activations": 30 * 2**30, "context": 2**30, "total": 41 * 2**30}
    with (
        pytest.raises(FinelineError, match=r"largest part is activations \(30\.0 GiB of 41\.0 forecast\).*recompute: true"),
        memory.explained(config(), predicted),
    ):
        torch.empty(1 << 60, dtype=torch.uint8)


def test_too_little_free_memory_is_a_warning_before_the_run():
    predicted = {"base": 10 * 2**30, "activations": 30 * 2**30, "context": 2**30, "total": 41 * 2**30}
    assert memory.shortage(config(), predicted, 40 * 2**30) is None  # the context is in use already
    assert memory.shortage(config(), predicted, None) is None
    assert memory.shortage(config(), {}, 1) is None
    warning = memory.shortage(config(), predicted, 20 * 2**30)
    assert re.search(
        r"40\.0 GiB more .* 20\.0 GiB are free.* largest part is activations \(30\.0 GiB\).*recompute: true", warning
    )
    assert memory.free() is None or memory.free() > 2**20


@pytest.mark.parametrize(
    ("requested", "decided", "here", "warned"),
    [
        ("auto", "fp32", "bf16", True),
        ("auto", "bf16", "fp32", True),
        ("auto", "bf16", "bf16", False),
        ("fp32", "fp32", "bf16", False),
    ],
)
def test_a_plan_of_a_machine_with_another_precision_is_a_warning(requested, decided, here, warned):
    warning = stage.planned_elsewhere(config(precision=requested), config(precision=decided), here)
    assert (warning is not None) == warned
    assert not warned or warning.endswith("to plan again, run `dvc repro -f plan@NAME`")


@pytest.mark.parametrize(
    ("largest", "keys", "remedy"),
    [
        ("base", {}, "train.method: qlora"),
        ("base", {"method": "qlora"}, "a smaller base"),
        ("optimizer", {}, "paged-adamw-8bit"),
        ("adapters", {}, "train.rank"),
        ("activations", {"recompute": True}, "`train.batch_size: 4` with `train.accumulation: 2`"),
    ],
)
def test_each_part_has_its_remedy(largest, keys, remedy):
    assert remedy in memory.out_of_memory(config(**keys), {largest: 2**30, "total": 2**30})


@pytest.mark.parametrize("method", ["lora", "bottleneck"])
def test_accumulated_labels_are_all_counted(tiny_base, tmp_path, method):
    """Equal rows, so that the mean loss does not depend on their assignment to micro-steps."""
    row = data()[0][0]
    keys = {"epochs": 1, "warmup": 0.0, "dropout": 0.0, "method": method}
    keys |= {"rank": 4, "alpha": 8} if method == "lora" else {"bottleneck": {"size": 4}}
    first = []
    for batch_size, accumulation in ((6, 1), (1, 6)):
        place = tmp_path / f"{batch_size}"
        given = {
            name: value for name, value in (KEYS | keys).items() if method == "lora" or name not in ("rank", "alpha", "dropout")
        }
        train = Train.model_validate(given | {"batch_size": batch_size, "accumulation": accumulation, "recompute": False})
        result = loop.train(tiny_base, [row] * 6, [], train, report=place / "report", scratch=place / "scratch")
        first.append(result.metrics["train_loss"])
    assert first[0] == pytest.approx(first[1], rel=5e-3)


def test_a_run_of_one_step_learns(tiny_base, tmp_path):
    result = train(tiny_base, tmp_path, rows=(data()[0][:4], []), epochs=1)
    assert result.metrics["steps"] == 1
    assert max(weight.abs().max() for name, weight in result.model.named_parameters() if "lora_B" in name) > 0


@pytest.mark.parametrize("file", [checkpoints.OPTIMIZER, checkpoints.STATE])
def test_a_damaged_checkpoint_is_ignored(tiny_base, tmp_path, undisturbed, file):
    with pytest.raises(FinelineError):
        interrupted(tiny_base, tmp_path)
    damaged = checkpoints.latest(tmp_path / "scratch") / file
    damaged.write_bytes(damaged.read_bytes()[:50])
    result = train(tiny_base, tmp_path)
    assert result.metrics["resumed_at"] is None
    assert digest(result.model, tmp_path / "adapter") == undisturbed[1]
