"""Secrets of the services that detect-secrets knows, by the patterns of its plugins.

Its scanner processes 800 lines a second and finds nothing without its settings, so the patterns are used directly, each only
if a text contains a string that it needs. `LEFT_OUT` lists the patterns that do not take linear time on every text.
"""

import importlib
import re
from collections.abc import Iterator
from functools import cache

from fineline.curate.privacy.match import PrivacyMatch

USED = {
    "aws.AWSKeyDetector": "A3T|ABIA|ACCA|AKIA|ASIA|(?i:aws)",
    "azure_storage_key.AzureStorageKeyDetector": "AccountKey=",
    "discord.DiscordBotTokenDetector": r"\.[\w-]{6}\.[\w-]{27}",
    "gitlab_token.GitLabTokenDetector": "GR1348941",
    "mailchimp.MailchimpDetector": r"[0-9a-z]{32}-us\d",
    "sendgrid.SendGridDetector": r"SG\.",
    "slack.SlackDetector": r"hooks\.slack\.com",
    "square_oauth.SquareOAuthDetector": "sq0csp-",
    "telegram_token.TelegramBotTokenDetector": r"\d{8}:",
    "twilio.TwilioKeyDetector": "AC|SK",
}
"""Plugin -> a pattern that a text must contain before the plugin's patterns are tried."""

LEFT_OUT = {
    "artifactory.ArtifactoryDetector": "matches words in capitals",
    "basic_auth.BasicAuthDetector": "see addresses.py",
    "cloudant.CloudantDetector": "cubic in a run of spaces",
    "github_token.GitHubTokenDetector": "cuts longer tokens; see secrets.py",
    "ibm_cloud_iam.IbmCloudIamDetector": "cubic in a run of spaces",
    "ibm_cos_hmac.IbmCosHmacDetector": "cubic in a run of spaces",
    "ip_public.IPPublicDetector": "see addresses.py",
    "jwt.JwtTokenDetector": "quadratic; see secrets.py",
    "npm.NpmDetector": "quadratic, and matches the rest of the line; see secrets.py",
    "openai.OpenAIDetector": "quadratic, and matches only the oldest keys; see secrets.py",
    "private_key.PrivateKeyDetector": "only the first line of a key; see secrets.py",
    "pypi_token.PypiTokenDetector": "see secrets.py",
    "softlayer.SoftlayerDetector": "cubic in a run of spaces",
    "stripe.StripeDetector": "cuts longer keys; see secrets.py",
}
"""Plugin -> reason why its patterns are not used."""


def find(text: str) -> Iterator[PrivacyMatch]:
    """Yield the secrets in a text; of `key = "secret"` only the part between the quotes."""
    for needed, shapes in _shapes():
        if needed.search(text):
            for shape in shapes:
                for match in shape.finditer(text):
                    unquoted = match[0].rstrip("\"'")
                    end = match.start() + len(unquoted)
                    yield PrivacyMatch("secret", end - len(re.split("[\"']", unquoted)[-1]), end)


@cache
def _shapes() -> list[tuple[re.Pattern[str], list[re.Pattern[str]]]]:
    """Return the patterns with the pattern that a text must contain, made to start and end where a token does.

    They are imported for the first text that needs them: the package loads its scanner, which takes a second.
    """
    shapes = []
    for path, needed in USED.items():
        module, _, name = path.partition(".")
        plugin = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)
        whole = [re.compile(rf"(?<![\w-])(?:{shape.pattern})[\w-]*", shape.flags) for shape in plugin.denylist]
        shapes.append((re.compile(needed), whole))
    return shapes
