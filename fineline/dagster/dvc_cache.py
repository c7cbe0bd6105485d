"""DVC's cache, as far as it is read directly: where it is, and which files a cached directory has."""

import configparser
import json
from pathlib import Path

LOCAL_CONFIG = Path(".dvc/config.local")


def directory(project: Path) -> Path:
    """Return where DVC keeps every version of every result."""
    place = project / ".dvc"
    configured = read_config(place / "config", project / LOCAL_CONFIG).get("cache", "dir", fallback="cache")
    return (place / configured).resolve()


def read_config(*files: Path) -> configparser.ConfigParser:
    """Return the configuration in those of the files that exist, the later ones before the earlier."""
    found = configparser.ConfigParser(interpolation=None)
    found.read([file for file in files if file.exists()], encoding="utf-8")
    return found


def file(project: Path, md5: str) -> Path:
    """Return where the cache keeps a file, or the list of a directory (`...dir`)."""
    return directory(project) / "files" / "md5" / md5[:2] / md5[2:]


def listed(project: Path, md5: str) -> dict[str, str] | None:
    """Return relative path -> md5 of the files of a cached directory; None if its list is not in the cache."""
    try:
        entries = json.loads(file(project, md5).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return {entry["relpath"]: entry["md5"] for entry in entries}
