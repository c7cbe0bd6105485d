"""Changes to the weights of a base model that are made once, when it is fetched."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fineline import artifacts
from fineline.errors import InputError
from fineline.models import architecture, base_tokenizer, integrity
from fineline.models.quiet import quiet


def write(model: Any, directory: Path) -> None:
    """Write the weights and the configuration of a model over those of a directory.

    Args:
        model: A model of transformers with plain weights, however it was loaded.
    """
    import torch

    with torch.device("meta"):
        plain = type(model)(model.config)  # the loaded one would write the tensor names that it was loaded from
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    with TemporaryDirectory(dir=directory.parent) as scratch, quiet():
        plain.save_pretrained(scratch)
        for file in integrity.weight_files(directory):
            file.unlink()
        (directory / integrity.INDEX).unlink(missing_ok=True)
        for file in Path(scratch).iterdir():
            if file.suffix == ".safetensors" or file.name in (integrity.INDEX, "config.json"):
                file.replace(directory / file.name)


def load(directory: Path, dtype: Any) -> Any:
    """Return the model in a directory, on the CPU.

    Args:
        dtype: A torch.dtype, or `auto` for the type of the files.

    Raises:
        InputError: The files do not contain the whole model.
    """
    with quiet():
        model, info = architecture.model_class(directory).from_pretrained(
            directory,
            dtype=dtype,
            device_map={"": "cpu"},
            output_loading_info=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    integrity.check_report(directory, info)
    return model


def resize(directory: Path) -> dict[str, Any] | None:
    """Add rows to embedding and head for the tokens that have none, each the mean of the rows before.

    Returns:
        The number of rows before and after, for the record; None if every token has a row.
    """
    import torch

    tokens = base_tokenizer.beyond(directory)
    if not tokens:
        return None
    model = load(directory, "auto")
    before = model.get_input_embeddings().weight.shape[0]
    after = before + len(tokens)
    with quiet(), torch.no_grad():
        model.resize_token_embeddings(after, mean_resizing=False)
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            if layer is not None and layer.weight.shape[0] == after:
                layer.weight[before:] = layer.weight[:before].float().mean(0).to(layer.weight.dtype)
    write(model, directory)
    return {"resized": {"rows_before": before, "rows": after}}


def merge_adapter(adapter: Path, directory: Path) -> dict[str, Any]:
    """Merge a PEFT adapter into the weights of its base model, in place. It is computed in fp32 and rounded once.

    Args:
        adapter: Directory with adapter_config.json and adapter_model.safetensors.

    Returns:
        The digest of the adapter, for the record.

    Raises:
        InputError: The adapter does not fit the base, or cannot be merged.
    """
    import torch
    from peft import PeftModel

    if not (adapter / "adapter_model.safetensors").is_file():
        raise InputError(f"{adapter}: no adapter_model.safetensors; an adapter in another form is not read")
    kind = load(directory, "auto").dtype
    model = load(directory, torch.float32)
    try:
        with quiet():
            adapted = PeftModel.from_pretrained(model, str(adapter), torch_device="cpu")
            merged = adapted.merge_and_unload(safe_merge=True)
    except Exception as error:  # PEFT raises errors of many types for an adapter that does not fit
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{adapter}: cannot be merged into its base model: {reason[:300]}; check `onto`") from error
    write(merged.to(kind), directory)
    return {"merged": artifacts.digest(artifacts.manifest(adapter))}
