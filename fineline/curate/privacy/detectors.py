"""Secrets of the services that detect-secrets knows, by the patterns of its plugins.

Its own scanner does 800 lines a second, and outside its settings silently finds nothing; a pattern behind a needed piece of
text costs next to nothing. Patterns that take linear time on any text are used as they are; `LEFT_OUT` lists the others.
"""

import importlib
import re
from collections.abc import Iterator
from functools import cache

from fineline.curate.privacy.finding import Finding

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
"""Plugin -> what must be in the text before its patterns are tried."""

LEFT_OUT = {
    "artifactory.ArtifactoryDetector": "takes words in capitals for keys",
    "basic_auth.BasicAuthDetector": "see credentials.py",
    "cloudant.CloudantDetector": "cubic in a run of spaces",
    "github_token.GitHubTokenDetector": "cuts longer tokens; see secrets.py",
    "ibm_cloud_iam.IbmCloudIamDetector": "cubic in a run of spaces",
    "ibm_cos_hmac.IbmCosHmacDetector": "cubic in a run of spaces",
    "ip_public.IPPublicDetector": "see network.py",
    "jwt.JwtTokenDetector": "quadratic; see secrets.py",
    "npm.NpmDetector": "quadratic, and takes the rest of the line; see secrets.py",
    "openai.OpenAIDetector": "quadratic, and knows only the oldest keys; see secrets.py",
    "private_key.PrivateKeyDetector": "only the first line of a key; see secrets.py",
    "pypi_token.PypiTokenDetector": "see secrets.py",
    "softlayer.SoftlayerDetector": "cubic in a run of spaces",
    "stripe.StripeDetector": "cuts longer keys; see secrets.py",
}
"""Plugin -> why its patterns are not used."""


def find(text: str) -> Iterator[Finding]:
    """Secrets in the text. Of `key = "secret"` only what is between the quotes is one."""
    for needed, shapes in _shapes():
        if needed.search(text):
            for shape in shapes:
                for match in shape.finditer(text):
                    unquoted = match[0].rstrip("\"'")
                    end = match.start() + len(unquoted)
                    yield Finding("secret", end - len(re.split("[\"']", unquoted)[-1]), end)


@cache
def _shapes() -> list[tuple[re.Pattern[str], list[re.Pattern[str]]]]:
    """Patterns behind what they need, made to start and end where a token does.

    They are imported when the first text needs them: the package loads its scanner, which takes a second.
    """
    shapes = []
    for path, needed in USED.items():
        module, _, name = path.partition(".")
        plugin = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)
        whole = [re.compile(rf"(?<![\w-])(?:{shape.pattern})[\w-]*", shape.flags) for shape in plugin.denylist]
        shapes.append((re.compile(needed), whole))
    return shapes
