"""Telling people what waits for them, or went wrong: to a webhook, a chat, or by mail.

What is told is written to an outbox first, so that it is delivered at least once whatever happens. No message holds anything of
the data: names, verdicts, measures and digests only.
"""
