#!/usr/bin/env python3
"""Runs the receivers of docs/receivers.md unchanged, with the published libraries, against the real binary: before,
during and after a rotation of the secret. Takes the path of the binary."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIMEOUT = 60


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="decnet-receivers-") as directory:
        work = pathlib.Path(directory)
        receivers = [python(work), javascript(work)]
        if shutil.which("go"):
            receivers.append(go(work))
        host = Host(work, binary)
        try:
            passed = sum(host.check(name, command) for name, command in receivers)
        finally:
            host.stop()
        print(f"{passed} passed, {len(receivers) - passed} failed")
        sys.exit(passed != len(receivers))


def block(language):
    """Returns the first code block of a language in the guide."""
    text = (ROOT / "docs/receivers.md").read_text()
    return re.search(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE).group(1)


def python(work):
    venv.create(work / "venv", with_pip=True)
    run(work / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "standardwebhooks==1.1.0")
    (work / "receiver.py").write_text(block("python"))
    return "Python", [work / "venv/bin/python", work / "receiver.py"]


def javascript(work):
    (work / "package.json").write_text('{"private": true}')
    run("npm", "install", "--silent", "--no-audit", "--no-fund", "standardwebhooks@1.1.1", cwd=work)
    (work / "receiver.mjs").write_text(block("javascript"))
    return "JavaScript", ["node", work / "receiver.mjs"]


def go(work):
    (work / "receiver.go").write_text(block("go"))
    run("go", "build", "-o", work / "receiver-go", work / "receiver.go", env={**os.environ, "GOFLAGS": "-mod=mod"})
    return "Go", [work / "receiver-go"]


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


def until(what, condition):
    """Waits for a condition and returns its result."""
    deadline = time.monotonic() + TIMEOUT
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"timeout after {TIMEOUT} s: {what}")
        time.sleep(0.05)
    return result


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def accepts_connections(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Receiver:
    """A program of the guide, with a secret of its own."""

    def __init__(self, command, work, secret):
        self.port, self.output = free_port(), tempfile.TemporaryFile("w+", dir=work)
        file = work / f"secret-{self.port}"
        file.write_text(secret + "\n")
        words = [*map(str, command), str(self.port), str(file)]
        self.process = subprocess.Popen(words, stdout=self.output, cwd=work)
        until(f"{words[-3]} accepts connections", lambda: accepts_connections(self.port))

    def lines(self):
        self.output.seek(0)
        return self.output.read().splitlines()

    def stop(self):
        self.process.kill()
        self.process.wait()


class Host:
    """`decnet serve` in a temporary directory."""

    def __init__(self, work, binary):
        self.work, self.binary, self.count = work, binary, 0
        self.environment = {
            "HOME": str(work),
            "PATH": os.environ["PATH"],
            "DECNET_DATA_DIR": str(work / "data"),
            "DECNET_BUS_SOCKET": str(work / "bus.sock"),
            "DECNET_WEBHOOK_ALLOW_CIDRS": "127.0.0.1/32",
            "DECNET_API_PORT": str(free_port()),
        }
        self.log = open(work / "serve.log", "w+")
        self.serve = subprocess.Popen([binary, "serve"], env=self.environment, cwd=work, stderr=self.log)
        until("decnet serve is up", lambda: (work / "data/queue.db").exists() and (work / "bus.sock").exists())

    def decnet(self, *arguments):
        command = [self.binary, *arguments]
        done = subprocess.run(command, env=self.environment, cwd=self.work, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def check(self, name, command):
        """Checks that both secrets are valid while they overlap, and afterwards only the new one."""
        receiver = None
        try:
            created = self.create(name)
            receiver = self.point_at(None, created, Receiver(command, self.work, created["secret"]))
            self.expect(receiver, "verified")
            rotated = self.rotate(created, "--overlap", "1h")
            self.expect(receiver, "verified")
            receiver = self.point_at(receiver, created, Receiver(command, self.work, rotated["secret"]))
            self.expect(receiver, "verified")
            receiver = self.point_at(receiver, created, Receiver(command, self.work, created["secret"]))
            self.rotate(created, "--revoke")
            self.expect(receiver, "refused")
            print(f"{name}: verified before, during and refused after the rotation")
            return True
        except SystemExit as error:
            print(f"{name}: FAILED: {error}", *(receiver.lines()[-5:] if receiver else []), sep="\n  ")
            self.log.seek(0)
            print(self.log.read())
            return False
        finally:
            if receiver:
                receiver.stop()

    def create(self, name):
        """Creates a subscription whose requests also have an asymmetric signature, which the receivers must skip."""
        pattern, key = f"guide.{name.lower()}", self.work / f"{name}.key"
        url = "http://127.0.0.1:9/"
        self.decnet("subscription", "key", "--file", key)
        words = ["--name", name, "--url", url, "--pattern", pattern, "--private-key-file", key, "--json"]
        return json.loads(self.decnet("subscription", "create", *words))

    def point_at(self, old, subscription, new):
        self.decnet("subscription", "update", subscription["uuid"], "--url", f"http://127.0.0.1:{new.port}/")
        if old:
            old.stop()
        return new

    def rotate(self, subscription, *arguments):
        return json.loads(self.decnet("subscription", "rotate-secret", subscription["uuid"], *arguments, "--json"))

    def expect(self, receiver, what):
        """Publishes until an event is verified or refused: the worker needs a moment to apply a change."""
        before, topic = len(receiver.lines()), self.topic(receiver)

        def matching_lines():
            self.decnet("publish", topic, json.dumps({"n": self.count, "text": "é \u2603"}))
            self.count += 1
            return [line for line in receiver.lines()[before:] if line.startswith(what)]

        until(f"an event is {what}", matching_lines)
        refused = [line for line in receiver.lines() if line.startswith("refused")]
        if what == "verified" and refused:
            raise SystemExit(f"refused: {refused}")

    def topic(self, receiver):
        rows = json.loads(self.decnet("subscription", "list", "--json"))
        (row,) = [row for row in rows if f":{receiver.port}/" in row["url"]]
        return row["topic_patterns"][0]

    def stop(self):
        self.serve.terminate()
        self.serve.wait()


if __name__ == "__main__":
    main()
