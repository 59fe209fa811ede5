"""What the limiter costs and how it holds, beside a bare round trip to Redis and, where they can be had, its peers.

__main__   `python -m tests.benchmarks.ratelimit`: all of it, as one table
cost       what a decision and a request cost
outage     what happens while Redis is away, and when it is back
exactness  how many of many processes are admitted, and what a bucket takes in Redis
rounds     alternating rounds and what is made of them
workers    processes that time and decide when they are told to
ours       such a process: this limiter           settings, views  its project
peers      such a process, in an environment of its own: other limiters
timing     what both kinds of process share
"""
