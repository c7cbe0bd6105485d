"""Formats in which a merged model ships, one file each, and which of them a model can take."""
