"""OCI image layouts: a directory with blobs named by their sha256, an index, and manifests that refer to them.

The same content gives the same bytes. Layers are tar files without times, owners and order of their own, so container tools can
unpack and mount them (https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md).
"""

import hashlib
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Any, Self, cast

from fineline.artifacts import canonical

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
REFERENCE = "org.opencontainers.image.ref.name"

Descriptor = dict[str, Any]
"""Media type, digest and size of a blob."""


class Layout:
    """An image layout that is being written.

    Args:
        directory: An empty directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifests: list[Descriptor] = []
        (directory / "blobs" / "sha256").mkdir(parents=True)

    def blob(self, content: bytes, media_type: str) -> Descriptor:
        """Write a blob, and return its descriptor."""
        with self._blob(media_type) as blob:
            blob.write(content)
        return blob.descriptor

    def layer(self, root: Path, paths: Iterable[str]) -> Descriptor:
        """Write a layer with files of a directory, and return its descriptor.

        Args:
            paths: Paths within `root`, each of a plain file.
        """
        form = tarfile.PAX_FORMAT  # names and sizes of any length
        with self._blob(LAYER) as blob, tarfile.open(fileobj=cast("IO[bytes]", blob), mode="w|", format=form) as layer:
            for path in sorted(paths):
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = (root / path).stat().st_size, 0o444
                with (root / path).open("rb") as stream:
                    layer.addfile(entry, stream)
        return blob.descriptor

    def image(self, layers: list[Descriptor], labels: Mapping[str, str], reference: str, **fields: Any) -> Descriptor:
        """Write a manifest of layers of files, list it in the index, and return its descriptor.

        Args:
            reference: The name by which tools find it in the layout.
            fields: Further fields of the manifest.
        """
        config = {
            "architecture": "amd64",  # files of a model suit any; tools that check want one
            "os": "linux",
            "config": {"Labels": dict(labels)},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
        return self._manifest(self._json(config, CONFIG), layers, labels, reference, fields)

    def referrer(self, content: bytes, media_type: str, subject: Descriptor, reference: str, **fields: Any) -> Descriptor:
        """Write a manifest of one blob that is about another manifest, list it in the index, and return its descriptor."""
        about = {key: subject[key] for key in ("mediaType", "digest", "size")}
        layers = [self.blob(content, media_type)]
        return self._manifest(self.blob(b"{}", EMPTY), layers, {}, reference, {"subject": about} | fields)

    def finish(self) -> None:
        """Write the index."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests}
        (self.directory / "index.json").write_text(canonical.text(index) + "\n", encoding="utf-8")
        (self.directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}\n', encoding="utf-8")

    def _manifest(
        self,
        config: Descriptor,
        layers: list[Descriptor],
        annotations: Mapping[str, str],
        reference: str,
        fields: Mapping[str, Any],
    ) -> Descriptor:
        content = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **fields}
        if annotations:
            content["annotations"] = dict(annotations) | content.get("annotations", {})
        found = self._json(content, MANIFEST)
        listed = found | {"annotations": {REFERENCE: reference}}
        if "artifactType" in fields:
            listed["artifactType"] = fields["artifactType"]
        self.manifests.append(listed)
        return found

    def _json(self, content: Any, media_type: str) -> Descriptor:
        return self.blob(canonical.text(content).encode(), media_type)

    def _blob(self, media_type: str) -> "_Blob":
        return _Blob(self.directory / "blobs" / "sha256", media_type)


class _Blob:
    """A blob that is being written; it gets its name when it is complete."""

    def __init__(self, directory: Path, media_type: str) -> None:
        self.directory, self.media_type = directory, media_type
        self.sha256, self.size = hashlib.sha256(), 0
        self.draft = directory / ".draft"

    def __enter__(self) -> Self:
        self.stream = self.draft.open("wb")
        return self

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        self.size += len(content)
        return self.stream.write(content)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(self.draft)  # a failed write does not name its file
        with suppress(OSError) if error else nullcontext():
            self.stream.close()
        if kind is None:
            self.draft.replace(self.directory / self.sha256.hexdigest())

    @property
    def descriptor(self) -> Descriptor:
        return {"mediaType": self.media_type, "digest": f"sha256:{self.sha256.hexdigest()}", "size": self.size}
