"""What the probes take, what they tell while things are out of order, and what they leave behind; peers beside it.

__main__   `python -m tests.benchmarks.health`: all of it, as one table
speed      latency, and liveness while everything hangs
hangs      the database or Redis out of order
load       storms, crowds and rates of probes
recovery   how soon all is healthy again
leaks      connections left behind
lives      start and end of a server
peers      the peers' scripts, for them and for ours
ground     what all of them stand on            faults   servers that misbehave
serving    the project under each kind of worker, and its clients
project    that project                         gunicorn_conf   and its server's configuration
"""
