"""Secrets with a recognizable shape: keys and tokens with an issuer's prefix, JSON Web Tokens, private key blocks.

Passwords and keys without such a shape are not found. The patterns of older services come from the plugins of detect-secrets.
Its scanner processes 800 lines a second and finds nothing without its settings, so the patterns are used directly, each only
if a text contains a string that it needs. `UNUSED_PLUGINS` lists those that do not take linear time on every text.
"""

import importlib
import re
from collections.abc import Iterator
from functools import cache

from fineline.curate.privacy.match import PrivacyMatch

may_occur = re.compile(r"[A-Za-z0-9_\-/+.=]{20}").search
"""Gate of `find`: every secret has that many such characters in a row."""

# Strings of which a text must contain one, and the shape. Lengths are minima: issuers lengthen tokens without notice.
_ISSUERS = (
    (("sk-ant-",), r"sk-ant-[a-z]+\d\d-[\w-]{40,}"),  # Anthropic
    (("sk-",), r"sk-(?:(?:proj|svcacct|admin|None|or-v1)-[\w-]{20,}|[A-Za-z0-9]{32,})"),  # OpenAI, OpenRouter, DeepSeek
    (("hf_", "api_org_"), r"(?:hf|api_org)_[A-Za-z]{34}(?!\w)"),  # Hugging Face
    (("github_pat_",), r"github_pat_\w{40,}"),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[opsur]_\w{36,}(?:\.[\w-]{20,}){0,2}"),
    (("gl",), r"gl(?:pat|dt|rt|rtr|ft|oas|soat|agent|cbt|ptt|imt|ffct)-[\w-]{20,}(?:\.[\w-]{2,}){0,3}"),  # GitLab
    (("xox", "xapp-"), r"(?:xox[abeoprs](?:\.xox[bp])?|xapp)-[A-Za-z0-9-]{15,}"),  # Slack
    (("k_live_", "k_test_", "whsec_"), r"(?:[rsp]k_(?:live|test)_|whsec_)[A-Za-z0-9]{16,}"),  # Stripe
    (("AIza",), r"AIza[\w-]{35,}"),  # Google
    (("GOCSPX-", "ya29."), r"GOCSPX-[\w-]{28,}|ya29\.[\w-]{20,}"),  # Google OAuth
    (("npm_",), r"npm_[A-Za-z0-9]{36,}"),
    (("pypi-",), r"pypi-[\w-]{50,}"),
    (("dop_v1_", "doo_v1_", "dor_v1_"), r"do[opr]_v1_[0-9a-f]{64}"),  # DigitalOcean
    (("hvs.", "hvb."), r"hv[bs]\.[\w-]{24,}"),  # HashiCorp Vault
    (("dckr_pat_",), r"dckr_pat_[\w-]{27,}"),  # Docker
    (("eyJ",), r"eyJ[\w-]{8,}\.(?:eyJ)?[\w-]{8,}(?:\.[\w-]*){0,3}"),  # JSON Web Token, RFC 7519, and encrypted, RFC 7516
)
_BY_ISSUER = tuple((needed, re.compile(rf"(?<![\w-])(?:{shape})", re.ASCII)) for needed, shape in _ISSUERS)

# RFC 7468, RFC 4880: a whole block, or the beginning of a truncated one
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<name>[A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:(?:[^-]|-(?!----)){0,32768}?-----END (?P=name)-----"
    r"|(?:\s+[A-Z][\w-]+: ?[^\s\"]+)*(?:\s*[A-Za-z0-9+/=]{20,}+)++(?:\s+[A-Za-z0-9+/]+={1,2})?)",
    re.ASCII,
)

_AWS = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{16}|(?i:aws[_-]?secret|secret[_-]?access[_-]?key)", re.ASCII)
_AWS_SECRET = re.compile(
    r"(?<![A-Za-z0-9/+=])(?=[A-Za-z0-9/+]*[a-z])(?=[A-Za-z0-9/+]*[A-Z])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"
)
_AWS_NEAR = 200  # characters from the key id to the secret that belongs to it


def find(text: str) -> Iterator[PrivacyMatch]:
    """Yield the secrets in a text."""
    for needed, shape in _BY_ISSUER:
        if any(prefix in text for prefix in needed):
            for token in shape.finditer(text):
                yield PrivacyMatch("secret", token.start(), token.start() + len(token[0].rstrip(".-")))
    if "PRIVATE KEY" in text:
        for block in _PRIVATE_KEY.finditer(text):
            yield PrivacyMatch("secret", *block.span())
    for name in _AWS.finditer(text):
        for key in _AWS_SECRET.finditer(text, max(0, name.start() - _AWS_NEAR), name.end() + _AWS_NEAR):
            yield PrivacyMatch("secret", *key.span())
    yield from _find_by_plugins(text)


PLUGINS = {
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

UNUSED_PLUGINS = {
    "artifactory.ArtifactoryDetector": "matches words in capitals",
    "basic_auth.BasicAuthDetector": "see addresses.py",
    "cloudant.CloudantDetector": "cubic in a run of spaces",
    "github_token.GitHubTokenDetector": "cuts longer tokens; see _ISSUERS",
    "ibm_cloud_iam.IbmCloudIamDetector": "cubic in a run of spaces",
    "ibm_cos_hmac.IbmCosHmacDetector": "cubic in a run of spaces",
    "ip_public.IPPublicDetector": "see addresses.py",
    "jwt.JwtTokenDetector": "quadratic; see _ISSUERS",
    "npm.NpmDetector": "quadratic, and matches the rest of the line; see _ISSUERS",
    "openai.OpenAIDetector": "quadratic, and matches only the oldest keys; see _ISSUERS",
    "private_key.PrivateKeyDetector": "only the first line of a key; see _PRIVATE_KEY",
    "pypi_token.PypiTokenDetector": "see _ISSUERS",
    "softlayer.SoftlayerDetector": "cubic in a run of spaces",
    "stripe.StripeDetector": "cuts longer keys; see _ISSUERS",
}
"""Plugin -> reason why its patterns are not used."""


def _find_by_plugins(text: str) -> Iterator[PrivacyMatch]:
    """Yield the secrets that the plugins know; of `key = "secret"` only the part between the quotes."""
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
    for path, needed in PLUGINS.items():
        module, _, name = path.partition(".")
        plugin = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)
        whole = [re.compile(rf"(?<![\w-])(?:{shape.pattern})[\w-]*", shape.flags) for shape in plugin.denylist]
        shapes.append((re.compile(needed), whole))
    return shapes
