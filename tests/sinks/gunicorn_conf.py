"""gunicorn's settings for the multi-process test: what happens to workers is said on standard output."""

import os

from poolscope.sinks.prometheus import child_exit as mark_dead

bind = "127.0.0.1:0"
workers = 4
accesslog = None


def say(word, number):
    os.write(1, f"{word} {number}\n".encode())  # in one piece: five processes share the pipe


def when_ready(server):
    say("listening", server.LISTENERS[0].sock.getsockname()[1])


def post_worker_init(worker):
    say("started", worker.pid)


def child_exit(server, worker):
    mark_dead(server, worker)
    say("ended", worker.pid)
