#!/usr/bin/env python3
"""Kills the leader of a real ensemble again and again under load, and records what its clients saw.

    SYNOD_DIR=DIR failover.py [--kills 50] [--clients 8] [--out history.jsonl]      (members by ctl.py; 3 of them)

Clients speak ZooKeeper's protocol over sockets of their own: each keeps one session, moves to another member when its
connection ends, writes to and reads from a few nodes, and notes every call in the format of `synod-sim check --format
synod`, which judges the history. After each kill the time is taken until a write that was sent after it is
acknowledged. The last lines tell the median and the longest of these, in milliseconds and in election timeouts.
"""
import argparse
import asyncio
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.realpath(__file__))
CTL = os.path.join(HERE, "ctl.py")
BASE = int(os.environ.get("SYNOD_BASE", "32100"))
SIZE = int(os.environ.get("SYNOD_SIZE", "3"))
# What `synod zookeeper` derives from tickTime.
ELECTION_MS = min(max(int(os.environ.get("ZK_TICK", "2000")) // 2, 500), 2000)
TIMEOUT_MS = 20_000
NODES = 32
# Calls that a node serves.
CALLS = 25
SESSION_EXPIRED = -112
KINDS = {1: "created", 2: "deleted", 3: "data_changed", 4: "children_changed"}
OPEN_ACL = struct.pack(">ii", 1, 31) + struct.pack(">i", 5) + b"world" + struct.pack(">i", 6) + b"anyone"


def now_ns():
    return time.monotonic_ns()


def text(value):
    raw = value.encode()
    return struct.pack(">i", len(raw)) + raw


def blob(raw):
    return struct.pack(">i", len(raw)) + raw


def hexed(raw):
    return "hex:" + raw.hex()


class History:
    def __init__(self):
        self.start, self.operations, self.watches, self.connections, self.count = now_ns(), [], [], [], 0
        self.nodes, self.named, self.calls = ["/failover/n%d" % i for i in range(NODES)], NODES, {}

    def time(self):
        return now_ns() - self.start

    def changed(self, client, connection, change):
        self.connections.append({"client": client, "connection": connection, "time_ns": self.time(), "change": change})

    def retire(self, path):
        """Nobody can say what a node holds after a write of unknown outcome: the judge leaves such nodes out. So that
        few are, each serves for a short time."""
        if path in self.nodes:
            self.nodes[self.nodes.index(path)] = "/failover/n%d" % self.named
            self.named += 1

    def node(self, chance):
        path = chance.choice(self.nodes)
        self.calls[path] = self.calls.get(path, 0) + 1
        if self.calls[path] >= CALLS:
            self.retire(path)
        return path

    def write(self, path, quiescent):
        with open(path, "w") as f:
            def line(value):
                f.write(json.dumps(value, separators=(",", ":")) + "\n")

            line({"schema": "synod-history", "version": 1, "source": "failover", "quiescent": quiescent, "end_ns": self.time()})
            for kind, records in (("op", self.operations), ("watch", self.watches), ("connection", self.connections)):
                for record in records:
                    line({kind: record})
            line({"end": len(self.operations) + len(self.watches) + len(self.connections)})


class Client:
    def __init__(self, number, history, rate):
        self.id, self.history, self.pause = number, history, 1 / rate
        self.session, self.password, self.zxid, self.xid, self.values = 0, bytes(16), 0, 0, 0
        self.random = random.Random(number)
        self.stopping, self.last = False, None
        self.connection, self.node, self.position, self.reader, self.writer = 0, 0, 0, None, None
        self.watched = False
        # Ephemeral nodes that this session made and did not delete.
        self.live = []

    async def run(self):
        member = self.id
        while not self.stopping:
            member += 1
            try:
                await self.connected(member % SIZE)
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                pass
            if self.last and "return_ns" not in self.last and isinstance(self.last["request"], dict):
                for request in self.last["request"].values():
                    self.history.retire(request.get("path"))
            self.last = None
            if self.connection:
                self.history.changed(self.id, self.connection, "disconnected")
                self.connection = 0
            if self.writer:
                self.writer.close()
                self.writer = None
            await asyncio.sleep(0.02)

    async def connected(self, member):
        opening = asyncio.open_connection("127.0.0.1", BASE + 20 * member)
        self.reader, self.writer = await asyncio.wait_for(opening, 2)
        self.history.count += 1
        self.connection, self.node, self.position, self.watched = self.history.count, member + 1, 0, False
        self.history.changed(self.id, self.connection, {"connected": {"node": self.node}})
        await self.greet()
        while not self.stopping:
            await self.step()
            await asyncio.sleep(self.pause * self.random.random() * 2)
        await self.call("close_session", -11, b"")

    def begin(self, request):
        operation = {"client": self.id, "session": self.session, "node": self.node, "connection": self.connection,
                     "call_ns": self.history.time(), "request": request}
        self.history.operations.append(operation)
        self.last = operation
        return operation

    def end(self, operation, response, zxid):
        operation.update(return_ns=self.history.time(), response=response, zxid=zxid, position=self.position)
        self.position += 1

    async def frame(self):
        # As real clients do: silence for two thirds of the timeout is a dead connection.
        length, = struct.unpack(">i", await asyncio.wait_for(self.reader.readexactly(4), TIMEOUT_MS / 1500))
        return await asyncio.wait_for(self.reader.readexactly(length), TIMEOUT_MS / 1500)

    async def greet(self):
        if self.session:
            request = {"attach_session": {"session": self.session, "password": hexed(self.password),
                                          "timeout_ms": TIMEOUT_MS, "last_zxid_seen": self.zxid}}
        else:
            request = {"open_session": {"timeout_ms": TIMEOUT_MS, "last_zxid_seen": self.zxid}}
        operation = self.begin(request)
        body = struct.pack(">iqiq", 0, self.zxid, TIMEOUT_MS, self.session) + blob(self.password) + b"\0"
        self.writer.write(blob(body))
        answer = await self.frame()
        _, timeout, session = struct.unpack(">iiq", answer[:16])
        if timeout <= 0:
            self.end(operation, {"error": SESSION_EXPIRED}, 0)
            self.history.changed(self.id, self.connection, {"expired": {"session": self.session}})
            print("client %d: session 0x%x expired" % (self.id, self.session), file=sys.stderr)
            self.session, self.password, self.live = 0, bytes(16), []
            raise OSError("expired")
        self.session, self.password = session, answer[20:36]
        self.end(operation, {"ok": {"session": {"session": session, "password": hexed(self.password),
                                                "timeout_ms": timeout}}}, 0)

    async def call(self, request, opcode, body):
        self.xid += 1
        operation = self.begin(request)
        self.writer.write(blob(struct.pack(">ii", self.xid, opcode) + body))
        while True:
            answer = await self.frame()
            xid, zxid, error = struct.unpack(">iqi", answer[:16])
            self.zxid = max(self.zxid, zxid)
            if xid != -1:
                break
            kind, _, length = struct.unpack(">iii", answer[16:28])
            self.history.watches.append({
                "client": self.id, "connection": self.connection, "position": self.position,
                "time_ns": self.history.time(), "kind": KINDS[kind], "path": answer[28:28 + length].decode(), "zxid": zxid})
            self.position += 1
            self.watched = False
        if xid != self.xid:
            sys.exit("client %d: reply %d to call %d" % (self.id, xid, self.xid))
        response = {"error": error} if error else {"ok": reply(opcode, answer[16:])}
        self.end(operation, response, zxid)
        return response

    async def step(self):
        dice, path = self.random.random(), self.history.node(self.random)
        if dice < 0.45:
            self.values += 1
            data = "%d-%d" % (self.id, self.values)
            done = await self.call({"set_data": {"path": path, "data": data, "version": -1}}, 5,
                                   text(path) + blob(data.encode()) + struct.pack(">i", -1))
            if done.get("error") == -101:
                self.values += 1
                data = "%d-%d" % (self.id, self.values)
                await self.create(path, data, False)
        elif dice < 0.55:
            self.values += 1
            path = "/failover/live/%d-%d" % (self.id, self.values)
            await self.create(path, "%d-%d" % (self.id, self.values), True)
            self.live.append(path)
            if len(self.live) > 3:
                path = self.live.pop(0)
                await self.call({"delete": {"path": path, "version": -1}}, 2, text(path) + struct.pack(">i", -1))
        elif dice < 0.6:
            await self.call({"sync": {"path": path}}, 9, text(path))
        elif dice < 0.7:
            await self.call({"get_children": {"path": "/failover/live", "watch": False}}, 8, text("/failover/live") + b"\0")
        else:
            watch = not self.watched and dice > 0.95
            self.watched |= watch
            await self.call({"get_data": {"path": path, "watch": watch}}, 4, text(path) + bytes([watch]))

    async def create(self, path, data, ephemeral):
        request = {"create": {"path": path, "data": data, "ephemeral": ephemeral}}
        await self.call(request, 1, text(path) + blob(data.encode()) + OPEN_ACL + struct.pack(">i", ephemeral))


class Founder(Client):
    """Makes the parents before the others begin."""

    async def step(self):
        await self.create("/failover", "all", False)
        await self.create("/failover/live", "ephemerals", False)
        self.stopping = True


class Reader(Client):
    """Reads every node once at the end: what was acknowledged is there."""

    async def step(self):
        if not self.live:
            self.live = ["/failover"] + ["/failover/n%d" % i for i in range(self.history.named)]
            await self.call({"sync": {"path": "/failover"}}, 9, text("/failover"))
        for path in self.live:
            await self.call({"get_data": {"path": path, "watch": False}}, 4, text(path) + b"\0")
        self.stopping = True


def reply(opcode, body):
    """What a success brought, in the format's words."""
    def stat(raw):
        return list(struct.unpack(">qqqqiiiqiiq", raw[:68]))

    if opcode == 1:
        return {"path": body[4:].decode()}
    if opcode == 5:
        return {"stat": stat(body)}
    if opcode == 4:
        length = max(struct.unpack(">i", body[:4])[0], 0)
        return {"data": body[4:4 + length].decode(), "stat": stat(body[4 + length:])}
    if opcode == 8:
        count, = struct.unpack(">i", body[:4])
        names, at = [], 4
        for _ in range(count):
            length, = struct.unpack(">i", body[at:at + 4])
            names.append(body[at + 4:at + 4 + length].decode())
            at += 4 + length
        return {"children": names}
    return {}


def status(i):
    try:
        with urllib.request.urlopen("http://127.0.0.1:%d/status" % (BASE + 20 * i + 3), timeout=0.5) as page:
            return json.load(page)
    except (OSError, ValueError):
        return None


def ctl(*arguments):
    subprocess.check_call([CTL] + [str(a) for a in arguments])


async def leader():
    """The member that leads while all the others follow it."""
    for _ in range(1500):
        found = [await asyncio.to_thread(status, i) for i in range(SIZE)]
        leaders = [i for i in range(SIZE) if found[i] and found[i]["role"] == "leader" and found[i]["serving"]]
        caught_up = all(s and s["serving"] and s["applied"] + 2000 > found[leaders[0]]["applied"] for s in found) if leaders else False
        if len(leaders) == 1 and caught_up:
            return leaders[0]
        await asyncio.sleep(0.02)
    sys.exit("no leader with all members behind it for 30 s")


def resumed(history, since):
    """When the first write that was sent after a moment was acknowledged."""
    times = [o["return_ns"] for o in history.operations[-5000:]
             if o["call_ns"] > since and "return_ns" in o and "ok" in o["response"]
             and next(iter(o["request"])) in ("create", "set_data")]
    return min(times, default=None)


async def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--clients", type=int, default=8)
    options.add_argument("--rate", type=float, default=50, help="calls a second of each client")
    options.add_argument("--out", default="history.jsonl")
    options = options.parse_args()
    ctl("start", "all")
    ctl("wait", "all")
    history = History()
    clients = [Client(i, history, options.rate) for i in range(options.clients)]
    await Founder(options.clients, history, options.rate).run()
    tasks = [asyncio.create_task(c.run()) for c in clients]
    waits = []
    for kill in range(options.kills):
        victim = await leader()
        await asyncio.sleep(0.5 + random.random() * 0.5)
        pid = int(open(os.path.join(os.environ["SYNOD_DIR"], "synod-%d" % victim, "pid")).read())
        since = history.time()
        os.kill(pid, 9)
        for _ in range(3000):
            await asyncio.sleep(0.01)
            at = resumed(history, since)
            if at:
                break
        else:
            sys.exit("kill %d of member %d: no write was acknowledged for 30 s" % (kill, victim + 1))
        waits.append((at - since) / 1e6)
        print("kill %2d: member %d, writes resume after %4.0f ms" % (kill + 1, victim + 1, waits[-1]), file=sys.stderr)
        await asyncio.to_thread(ctl, "kill", victim)
        await asyncio.to_thread(ctl, "start", victim)
        for task in tasks:
            if task.done():
                task.result()
    await leader()
    await asyncio.sleep(1)
    for client in clients:
        client.stopping = True
    await asyncio.wait(tasks, timeout=30)
    await Reader(options.clients + 1, history, options.rate).run()
    history.write(options.out, quiescent=False)
    ctl("stop", "all")
    acknowledged = sum("return_ns" in o for o in history.operations)
    print("%d kills, %d calls, %d acknowledged, history in %s" % (options.kills, len(history.operations), acknowledged, options.out))
    print("writes resume after: median %.0f ms (%.1f election timeouts), longest %.0f ms (%.1f)" % (
        statistics.median(waits), statistics.median(waits) / ELECTION_MS, max(waits), max(waits) / ELECTION_MS))


if __name__ == "__main__":
    asyncio.run(main())
