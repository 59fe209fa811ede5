"""gunicorn's configuration in the bench: nothing of the product's, which gunicorn would find in the current folder."""

control_socket_disable = True
