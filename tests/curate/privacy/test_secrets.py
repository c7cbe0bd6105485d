"""Patterns of detect-secrets."""

import importlib
import inspect
import pkgutil
import random

import detect_secrets.plugins
from detect_secrets.plugins.base import RegexBasedDetector

from fineline.curate.privacy import secrets
from tests.curate.privacy.planted import secret


def plugins() -> dict[str, type[RegexBasedDetector]]:
    """Every regular-expression plugin of the installed release."""
    found = {}
    for module in pkgutil.iter_modules(detect_secrets.plugins.__path__):
        loaded = importlib.import_module(f"detect_secrets.plugins.{module.name}")
        for name, plugin in inspect.getmembers(loaded, inspect.isclass):
            if (
                issubclass(plugin, RegexBasedDetector)
                and plugin.__module__ == loaded.__name__
                and plugin is not RegexBasedDetector
            ):
                found[f"{module.name}.{name}"] = plugin
    return found


def test_every_plugin_is_used_or_left_out_for_a_reason():
    assert plugins().keys() == secrets.PLUGINS.keys() | secrets.UNUSED_PLUGINS.keys()
    assert not secrets.PLUGINS.keys() & secrets.UNUSED_PLUGINS.keys()


def test_every_planted_secret_that_a_plugin_finds_is_found(cleaner):
    rng = random.Random(11)
    for _ in range(300):
        text = f"it is {secret(rng)} there"
        for name, plugin in plugins().items():
            if any(pattern.search(text) for pattern in plugin.denylist):
                assert cleaner.find(text), name
