"""Notifications of what waits for a person or went wrong: to a webhook, a chat, or by mail.

A notice is written to an outbox first, so that it is delivered at least once. No message contains data: only names, verdicts,
measures and digests.
"""
