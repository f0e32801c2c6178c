#!/usr/bin/env python3
"""A session of zkCli.sh against a live cluster, command by command, compared with zkcli_session.txt.

    zkcli_session.py HOST:PORT COMMAND...      COMMAND starts the shell, such as /usr/share/zookeeper/bin/zkCli.sh

The transcript has `$ command` and the lines that answer it; what differs from run to run (zxids, times) is `#`.
Another thread of the shell prints what watches tell, so that is compared by itself: what, how often, in which order.
Ends with 1 and a difference when the shell said something else. The cluster must not hold /synod.
"""
import difflib
import os
import re
import subprocess
import sys

TRANSCRIPT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "zkcli_session.txt")
# Set apart what each command says: the shell answers an unknown path with a line that nothing else prints.
MARK = "synod-mark"


def normal(line):
    # Shells before 3.9 do not show the transaction of an event.
    line = re.sub(r"^(WatchedEvent .*path:\S+) zxid: -?[\d#]+$", r"\1", line)
    line = re.sub(r"^([cmp]Zxid = 0x)[0-9a-f]+$", r"\1#", line)
    return re.sub(r"^([cm]time = ).*$", r"\1#", line)


def is_event(line):
    return re.match(r"WATCHER::|WatchedEvent ", line)


def events(lines):
    return [line for line in lines if is_event(line)]


def answers(lines):
    return [line for line in lines if not is_event(line)]


def main(address, command):
    with open(TRANSCRIPT) as f:
        expected = [line.rstrip("\n") for line in f]
    commands = [line[2:] for line in expected if line.startswith("$ ")]
    script = "".join("%s\nls /%s-%d\n" % (text, MARK, i) for i, text in enumerate(commands))
    start = "ls /%s-start\n" % MARK
    shell = subprocess.run(command + ["-server", address], input=start + script + "quit\n", text=True, timeout=120,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, begun, done = [], False, 0
    for line in shell.stdout.splitlines():
        # With a terminal library the shell repeats what it reads behind its prompt.
        line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip()
        line = re.sub(r"^\[zk: .*?\] ?", "", line)
        mark = re.match(r"Node does not exist: /%s-(start|\d+)$" % MARK, line)
        if mark:
            if mark[1] != "start":
                done = int(mark[1]) + 1
            begun = True
            if done < len(commands):
                said.append("$ " + commands[done])
        elif begun and line and not line.startswith("ls /" + MARK) and line not in commands and done < len(commands):
            if not re.match(r"\d{4}-\d\d-\d\d .*(INFO|WARN)|\[main", line):
                said.append(normal(line))
    difference = [line for of in (answers, events)
                  for line in difflib.unified_diff(of(expected), of(said), "expected", "zkCli", lineterm="")]
    if difference:
        print("\n".join(difference))
        sys.exit(1)
    print("zkCli: %d commands answered as on ZooKeeper" % len(commands))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
