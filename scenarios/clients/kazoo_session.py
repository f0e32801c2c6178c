#!/usr/bin/env python3
"""A session of kazoo against a live cluster, compared with what ZooKeeper answers. Ends with 1 at the first difference.

    kazoo_session.py HOST:PORT[,HOST:PORT...]      (needs kazoo from PyPI)
"""
import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import (BadVersionError, NoChildrenForEphemeralsError, NodeExistsError, NoNodeError,
                              NotEmptyError, RolledBackError)
from kazoo.recipe.lock import Lock

STEPS = 0


def same(what, found, expected):
    global STEPS
    STEPS += 1
    if found != expected:
        print("%s: found %r, expected %r" % (what, found, expected))
        sys.exit(1)


def fails(what, error, call, *arguments, **named):
    try:
        found = call(*arguments, **named)
    except error:
        found = error
    except Exception as other:  # the difference names it
        found = other
    same(what, found, error)


def main(hosts):
    one, two = KazooClient(hosts, timeout=10), KazooClient(hosts, timeout=10)
    one.start(timeout=15)
    two.start(timeout=15)
    if one.exists("/synod-kazoo"):
        one.delete("/synod-kazoo", recursive=True)

    same("create", one.create("/synod-kazoo", b"hello"), "/synod-kazoo")
    two.sync("/synod-kazoo")
    data, stat = two.get("/synod-kazoo")
    same("get", data, b"hello")
    same("stat", (stat.version, stat.cversion, stat.aversion, stat.dataLength, stat.numChildren, stat.ephemeralOwner),
         (0, 0, 0, 5, 0, 0))
    same("zxids of a new node", (stat.mzxid, stat.pzxid), (stat.czxid, stat.czxid))
    fails("create again", NodeExistsError, one.create, "/synod-kazoo")
    fails("get of nothing", NoNodeError, one.get, "/synod-kazoo/nothing")

    events, seen = [], threading.Event()

    def watch(event):
        events.append((event.type, event.path))
        seen.set()

    two.get("/synod-kazoo", watch=watch)
    same("set", one.set("/synod-kazoo", b"world", version=0).version, 1)
    same("watch fires", seen.wait(10), True)
    same("event", events, [("CHANGED", "/synod-kazoo")])
    fails("set of an old version", BadVersionError, one.set, "/synod-kazoo", b"", version=0)

    same("sequential", one.create("/synod-kazoo/task-", sequence=True), "/synod-kazoo/task-0000000000")
    same("sequential", one.create("/synod-kazoo/task-", sequence=True), "/synod-kazoo/task-0000000001")
    same("ephemeral", two.create("/synod-kazoo/live", ephemeral=True), "/synod-kazoo/live")
    one.sync("/synod-kazoo")
    same("owner", one.exists("/synod-kazoo/live").ephemeralOwner, two.client_id[0])
    fails("child of an ephemeral", NoChildrenForEphemeralsError, one.create, "/synod-kazoo/live/child")
    same("children", sorted(one.get_children("/synod-kazoo")), ["live", "task-0000000000", "task-0000000001"])
    fails("delete with children", NotEmptyError, one.delete, "/synod-kazoo")

    gone = threading.Event()
    one.exists("/synod-kazoo/live", watch=lambda event: gone.set())
    two.stop()
    same("an ephemeral goes with its session", gone.wait(10), True)
    same("children", sorted(one.get_children("/synod-kazoo")), ["task-0000000000", "task-0000000001"])

    multi = one.transaction()
    multi.check("/synod-kazoo", 1)
    multi.create("/synod-kazoo/multi", b"1")
    multi.delete("/synod-kazoo/task-0000000000")
    same("multi", multi.commit(), [True, "/synod-kazoo/multi", True])
    multi = one.transaction()
    multi.create("/synod-kazoo/other", b"1")
    multi.check("/synod-kazoo", 9)
    same("failing multi", [type(r) for r in multi.commit()], [RolledBackError, BadVersionError])
    same("failing multi leaves nothing", one.exists("/synod-kazoo/other"), None)

    lock = Lock(one, "/synod-kazoo/lock", "me")
    with lock:
        same("lock", lock.contenders(), ["me"])
    same("delete", one.delete("/synod-kazoo", recursive=True), None)
    one.stop()
    two.close()
    one.close()
    print("kazoo: %d steps as on ZooKeeper" % STEPS)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) == 2 else sys.exit(__doc__))
