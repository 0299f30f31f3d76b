"""Tests in a real browser, against a real server process with its own database."""
