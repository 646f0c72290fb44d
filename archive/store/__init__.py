"""Where sealed objects, the log's files and key files lie: one port, one implementation for each kind of place."""
