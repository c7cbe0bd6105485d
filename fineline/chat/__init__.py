"""Chat: from rows to rendered turns, tokens, labels and references."""
