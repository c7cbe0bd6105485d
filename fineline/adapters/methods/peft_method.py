"""Methods that PEFT implements: configured here, attached and loaded by PEFT."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fineline.adapters.methods.method import Batches, Method

if TYPE_CHECKING:
    from fineline.project.params.training import Train


@dataclass(frozen=True)
class PeftMethod(Method):
    """A method that is attached by a configuration of PEFT."""

    task: ClassVar[dict[str, Any]] = {"task_type": "CAUSAL_LM"}

    @abstractmethod
    def configuration(self, model: Any, train: "Train") -> Any:
        """Return PEFT's configuration of this method for a model.

        Raises:
            InputError: The model has no layers that the method can be attached to.
        """

    def initialize(self, adapted: Any, train: "Train", base: Path, batches: Batches | None) -> None:
        """Set the initial values of the trainable part where PEFT's own are not used."""

    def attach(self, model: Any, train: "Train", base: Path, batches: Batches | None) -> Any:
        """Return a `PeftModel`."""
        from peft import get_peft_model

        from fineline.adapters.reading import without_recomputing

        with without_recomputing(model):  # PEFT's prefix tuning does not allow recomputation; the training loop does
            adapted = get_peft_model(model, self.configuration(model, train))
        self.initialize(adapted, train, base, batches)
        return adapted

    def load(self, model: Any, directory: Path, config: dict[str, Any]) -> Any:
        """Return a `PeftModel`."""
        from peft import PeftModel

        return PeftModel.from_pretrained(model, directory, is_trainable=False, local_files_only=True)


def layers_of(model: Any, kind: type) -> dict[str, Any]:
    """Return the layers of a PEFT class in the base of an adapted model, by name and in order."""
    return {name: layer for name, layer in model.get_base_model().named_modules() if isinstance(layer, kind)}
