"""What benches share that show our figures beside the goals and beside others.

table         the rows, as text and as JSON                 report  all of them, and the machine
environment   an environment with the peers' requirements, kept from run to run
workers       processes that do what they are told          told   their end of the pipe
"""
