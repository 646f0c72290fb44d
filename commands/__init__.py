"""The command line's groups: they parse, call one method of a room, and print. Composition stands in `cli.py`."""
