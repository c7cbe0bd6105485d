"""Stage `plan@A`: memory, time and work of each method on this machine, and the settings that training will use."""

from dataclasses import asdict

from fineline import artifacts
from fineline.artifacts import reports
from fineline.chat import tokens
from fineline.errors import InputError
from fineline.hardware import device
from fineline.models import shape
from fineline.plan import pretraining, supposed
from fineline.plan.report import Run
from fineline.plan.workload import Lengths
from fineline.project import layout, params
from fineline.project.params.project import Adapter
from fineline.project.params.training import AUTO
from fineline.stages import rows, settings


def run(name: str) -> None:
    """Plan the training of adapter `name` into reports/<name>/plan.json and settings.json.

    Raises:
        InputError: The method is left to the plan and none fits; plan.json says by how much.
    """
    adapter = params.load().adapter(name)
    digests, planned = plan(name)
    report = digests | planned.report()
    reports.write(layout.reports(name) / "plan.json", report)
    chosen = planned.chosen
    if adapter.train.method == AUTO and not chosen.fits:
        settings.file(name).unlink(missing_ok=True)
        raise InputError(f"adapters.{name}.train.method: {chosen.reason}")
    train = settings.resolved(adapter.train, **asdict(chosen.setting), precision=planned.precision)
    settings.write(name, digests["base"], digests["data"], adapter.train, train)
    print(f"chosen: {chosen.setting.method}. {chosen.reason}")
    if adapter.train.method != AUTO:
        print(f"recommended: {report['recommended']}. {report['reason']}")


def plan(name: str, machine: device.Device | None = None) -> tuple[dict[str, str], Run]:
    """The training of adapter `name`, from its curated rows and the configuration of its base model.

    Args:
        machine: Where it would run; this machine if not given.

    Returns:
        Digests of `base` and `data`, and the run.

    Raises:
        InputError: There is no such adapter, its base or data are not made yet, or hold no rows.
    """
    adapter = params.load().adapter(name)
    base, data = layout.base(adapter.base), layout.curated(name)
    digests = {"base": artifacts.used(base).digest, "data": artifacts.used(data, layout.TRAINING_ROWS).digest}
    lengths = {split: _lengths(name, adapter, split) for split in ("train", "validation")}
    if not lengths["train"].rows:
        raise InputError(f"{data}/train.jsonl: no rows to train on")
    if not lengths["validation"].rows and (adapter.train.keep == "best" or adapter.train.early_stopping):
        raise InputError(
            f"adapters.{name}.train: `keep: best` and `early_stopping` need validation rows; set curate.split.validation"
        )
    return digests, Run(
        shape.of_model(base),
        machine or device.detect(),
        adapter.train,
        lengths["train"],
        validation=lengths["validation"].epoch(),
        training_tokens=pretraining.training_tokens(*_names(adapter.base)),
    )


def suppose(base: str, machine: device.Device, *, batch_size: int, length: int, rows: int) -> Run:
    """Return the training of a base without data; see `fineline.plan.supposed`. There may be no params.yaml."""
    blocks = params.load().bases if params.FILE.is_file() else {}
    known = {name: (layout.base(name), block) for name, block in blocks.items()}
    return supposed.suppose(base, known, machine, batch_size=batch_size, length=length, rows=rows)


def _lengths(name: str, adapter: Adapter, split: str) -> Lengths:
    file, found = layout.curated(name) / f"{split}.jsonl", rows.curated(name, split)
    return Lengths.of(tokens.encode_all(tokens.tokenizer_of(layout.base(adapter.base)), found, file, learn=adapter.train.learn))


def _names(base: str) -> list[str]:
    """All that a base is called: in params.yaml and at its origin."""
    block = params.load().base(base)
    origins = (block.hub and block.hub.repo, block.wheel and block.wheel.file, block.path)
    return [base, *(origin for origin in origins if origin)]
