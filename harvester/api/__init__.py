"""The API, version 1: one file per noun; the manner they share stands in files named for what they hold."""
