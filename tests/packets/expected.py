"""expected.py - where lane differs from the kernel on purpose: case -> reason; docs/tcp.md says the same

A case listed here that passes fails: its line is to be deleted.
"""
EXPECTED = {}
