"""What is measured: load by wrk, CPU time as the kernel counts it, instructions as callgrind or the CPU count them."""

import glob
import os
import random
import re
import subprocess

from programs import CONNECTIONS, LOAD_CORE, hosts

# The requests are made before the load begins, so that the script costs little; the order is fixed.
SCRIPT = """
local requests, at = {}, 0
function init(arguments)
    for line in io.lines(arguments[1]) do
        local host, path = line:match("(%S+) (%S+)")
        wrk.headers["Host"] = host
        requests[#requests + 1] = wrk.format("GET", path)
    end
end
function request()
    at = at % #requests + 1
    return requests[at]
end
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("\\nresult %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""

TICK = os.sysconf("SC_CLK_TCK")


class Load:
    """What wrk needs to ask for every host, on both routes, in an order that is the same every time."""

    def __init__(self, folder):
        self.folder, self.script = folder, os.path.join(folder, "load.lua")
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(SCRIPT)

    def _targets(self, count):
        path = os.path.join(self.folder, f"targets-{count}")
        if not os.path.exists(path):
            lines = [f"{host} {route}" for host in hosts(count) for route in ("/api/items/7", "/about")]
            random.Random(1).shuffle(lines)
            with open(path, "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
        return path

    def run(self, program, seconds):
        """Puts a proxy under load. Gives the number of requests, the seconds, and the 99th percentile in ms."""
        command = ["taskset", "-c", LOAD_CORE, "wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s",
                   "--timeout", "30s", "-s", self.script, f"http://127.0.0.1:{program.port}",
                   self._targets(program.asked)]
        told = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        found = re.search(r"^result (\d+) (\d+) (\d+) (\d+)$", told, re.MULTILINE)
        if not found or int(found[4]):
            raise SystemExit(f"load on {program.kind} failed:\n{told}")
        return int(found[1]), int(found[2]) / 1e6, int(found[3]) / 1e3


def cpu(program):
    """The CPU seconds of a process so far, for itself and in the kernel."""
    with open(f"/proc/{program.process.pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) / TICK, int(fields[12]) / TICK


def has_counters():
    """Whether the machine counts instructions, and perf may ask."""
    try:
        told = subprocess.run(["perf", "stat", "-x", ",", "-e", "instructions:u", "true"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    except OSError:
        return False
    return re.search(r"^\d+,", told, re.MULTILINE) is not None


def counted(program, load, seconds):
    """Instructions per request, as the CPU counts them."""
    command = ["perf", "stat", "-x", ",", "-e", "instructions:u", "-p", str(program.process.pid)]
    perf = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    requests, _, _ = load.run(program, seconds)
    perf.send_signal(2)
    return int(re.search(r"^(\d+),", perf.communicate()[0], re.MULTILINE)[1]) / requests


def callgrind(folder):
    """The command in front of a program that counts its instructions."""
    return ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind"]


def traced(program, load, folder):
    """Puts a program under callgrind under load. Gives the number of requests, and the file that tells of them alone."""
    _at_least(200, program, load)
    _dump(program, folder)
    requests = _at_least(2000, program, load)
    return requests, _dump(program, folder)


def _at_least(count, program, load):
    """Puts load on a program until it has answered so often. Gives how often it did."""
    requests = 0
    while requests < count:
        requests += load.run(program, 2)[0]
    return requests


def _dump(program, folder):
    """Has the counts so far written to a file, and begins anew."""
    before = set(glob.glob(f"{folder}/callgrind.*"))
    subprocess.run(["callgrind_control", "--dump", str(program.process.pid)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    new = set(glob.glob(f"{folder}/callgrind.*")) - before
    if len(new) != 1:
        raise SystemExit(f"callgrind wrote {len(new)} files for {program.kind}")
    return new.pop()
