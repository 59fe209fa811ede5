"""Numbers of several processes in one directory: each writes files of its own, any of them reads all."""
