#!/usr/bin/env python3
"""Start, stop and wipe a Synod ensemble of N local processes, each by `synod zookeeper zoo.cfg`.

    ctl.py start I | stop I | kill I | wipe I | status I | wait I | endpoints      (I from 0, or `all`)

The configuration is what an ensemble of ZooKeeper 3.9 would be given: nothing in it is ours.

    SYNOD          the program                 (default: target/release/synod of this repository)
    SYNOD_DIR      state: data, logs, pids     (required)
    SYNOD_BASE     first port; member I uses BASE+20*I .. BASE+20*I+3 (default 32100)
    SYNOD_SIZE     number of members           (default 3)
    SYNOD_OPTIONS  more arguments of the program, such as --log-level debug
    ZK_TICK        tickTime                    (default 2000)
    ZK_CFG         more lines of zoo.cfg, parted by \\n
"""
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
PROGRAM = os.environ.get("SYNOD", os.path.join(ROOT, "target", "release", "synod"))
BASE = int(os.environ.get("SYNOD_BASE", "32100"))
SIZE = int(os.environ.get("SYNOD_SIZE", "3"))
DIR = os.path.abspath(os.environ.get("SYNOD_DIR") or sys.exit("SYNOD_DIR is not set"))
# superuser "super", password "test": what client suites expect
SUPER = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="


def port(i, k=0):
    """0: clients, 1: peers, 2: election (ZooKeeper's; unused), 3: admin."""
    return BASE + 20 * i + k


def home(i):
    return os.path.join(DIR, "synod-%d" % i)


def command(i):
    folder = home(i)
    os.makedirs(folder + "/data", exist_ok=True)
    lines = [
        "tickTime=%s" % os.environ.get("ZK_TICK", "2000"), "initLimit=10", "syncLimit=5",
        "dataDir=%s/data" % folder, "maxClientCnxns=0", "admin.enableServer=false",
        "4lw.commands.whitelist=*", "standaloneEnabled=%s" % ("true" if SIZE == 1 else "false"),
        "extendedTypesEnabled=true",
    ]
    if SIZE > 1:
        lines.append("reconfigEnabled=true")
        lines += ["server.%d=127.0.0.1:%d:%d;127.0.0.1:%d" % (j + 1, port(j, 1), port(j, 2), port(j)) for j in range(SIZE)]
        with open(folder + "/data/myid", "w") as f:
            f.write(str(i + 1))
    else:
        lines.append("clientPort=%d" % port(i))
    lines += [line for line in os.environ.get("ZK_CFG", "").replace("\\n", "\n").split("\n") if line]
    with open(folder + "/zoo.cfg", "w") as f:
        f.write("\n".join(lines) + "\n")
    return [PROGRAM, "zookeeper", "-Dzookeeper.DigestAuthenticationProvider.superDigest=" + SUPER,
            "--admin", "127.0.0.1:%d" % port(i, 3)] + shlex.split(os.environ.get("SYNOD_OPTIONS", "")) + [folder + "/zoo.cfg"]


def pid(i):
    """The running process, or None; one that ended and was not waited for does not run."""
    try:
        number = int(open(home(i) + "/pid").read())
        with open("/proc/%d/stat" % number) as f:
            return None if f.read().rsplit(")", 1)[1].split()[0] == "Z" else number
    except (OSError, ValueError):
        return None


def start(i):
    if pid(i):
        return
    os.makedirs(home(i), exist_ok=True)
    with open(home(i) + "/log", "ab") as log:
        process = subprocess.Popen(command(i), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    with open(home(i) + "/pid", "w") as f:
        f.write(str(process.pid))


def halt(i, number):
    running = pid(i)
    if running:
        os.kill(running, number)
        for _ in range(1000):
            if not pid(i):
                break
            time.sleep(0.01)
        else:
            os.kill(running, signal.SIGKILL)
    try:
        os.unlink(home(i) + "/pid")
    except OSError:
        pass


def ready(i):
    try:
        return urllib.request.urlopen("http://127.0.0.1:%d/ready" % port(i, 3), timeout=1).status == 200
    except OSError:
        return False


def wait(i):
    end = time.time() + 60
    while time.time() < end:
        if ready(i):
            return
        if not pid(i):
            sys.exit("member %d is not running, see %s/log" % (i, home(i)))
        time.sleep(0.02)
    sys.exit("member %d does not serve after 60 s, see %s/log" % (i, home(i)))


def main(arguments):
    verb = arguments[0]
    who = [int(arguments[1])] if len(arguments) > 1 and arguments[1] != "all" else list(range(SIZE))
    for i in who:
        if verb == "start":
            start(i)
        elif verb == "stop":
            halt(i, signal.SIGTERM)
        elif verb == "kill":
            halt(i, signal.SIGKILL)
        elif verb == "wipe":
            halt(i, signal.SIGKILL)
            shutil.rmtree(home(i), True)
        elif verb == "status":
            print(i, "up" if pid(i) else "down")
        elif verb == "wait":
            wait(i)
        elif verb != "endpoints":
            sys.exit(__doc__)
    if verb == "endpoints":
        print(",".join("127.0.0.1:%d" % port(i) for i in who))


if __name__ == "__main__":
    main(sys.argv[1:] or sys.exit(__doc__))
