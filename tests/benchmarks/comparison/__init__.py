"""What benches share that show our figures beside the goals and beside others.

table         the rows, as text and as JSON
environment   an environment with the peers' requirements, kept from run to run
"""
