"""What metrics cost and whether they are right, beside django-prometheus, OpenTelemetry and prometheus_client.

__main__    `python -m tests.benchmarks.observability`: all of it, as one table
cost        what is added to a request, a query, a read of the cache; what one operation takes
throughput  requests per second of a real server
scrape      what the page costs, of many series and after a thousand workers' lives
exactness   counts lost or doubled while workers are killed, reloaded and replaced under load
hostile     what strangers can add to the page
outage      the page while the database hangs
findings    what promtool says of the page
peers       the peers' own scripts, with ours beside theirs
rounds      alternating rounds, and what is made of them
project     the Django project of all of them, under any kind of metrics
subject, scraper, recycler   processes with that project that do what they are told    operations  what is timed there
server      the project in gunicorn     gunicorn_conf  its configuration     measured_cache  a cache for peers' scripts
"""
