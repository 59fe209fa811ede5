"""gunicorn's configuration in the bench: nothing of the product's, which gunicorn would find in the current folder."""

import gc

control_socket_disable = True


def post_worker_init(worker: object) -> None:
    """What was imported is for ever: a full collection would look through it, 20 ms in the midst of some request."""
    gc.collect()
    gc.freeze()
