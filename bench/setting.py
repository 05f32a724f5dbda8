"""What all measurements share: the two cores, a folder that goes with the run, the programs."""

import functools
import os
import random
import shutil
import subprocess

import process

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(HERE, "peers")

# What the servers of `files` serve: name and size.
FILES = {"64k": 64 << 10, "100m": 100 << 20}


class Missing(Exception):
    """What the run cannot do without."""


class Absent(Exception):
    """A server that cannot be had here, or cannot do what a scenario asks: it is left out."""


class Bench:
    def __init__(self, build, directory, seed):
        self.build = os.path.abspath(build)
        self.directory = directory
        self.random = random.Random(seed)
        self.descriptors = process.raise_descriptor_limit()
        self.server_core, self.client_core = process.pick_cores()

    def file(self, name):
        path = os.path.join(self.build, name)
        if not os.path.exists(path):
            raise Missing(f"{path} is missing: build first, with ./dev build")
        return path

    def tool(self, name, package):
        path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not path:
            raise Missing(f"{name} is missing: install the package {package}")
        return path

    @functools.cached_property
    def certificate(self):
        """(certificate, key): ECDSA on P-256, made anew for each run."""
        paths = [os.path.join(self.directory, name) for name in ("cert.pem", "key.pem")]
        subprocess.run(
            [self.tool("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-out", paths[0], "-keyout", paths[1]],
            stdin=subprocess.DEVNULL, capture_output=True, check=True)
        return paths

    @functools.cached_property
    def files(self):
        """The folder with FILES."""
        folder = os.path.join(self.directory, "files")
        os.mkdir(folder)
        for name, size in FILES.items():
            with open(os.path.join(folder, name), "wb") as file:
                for _ in range(size >> 16):
                    file.write(b"cress\n\n\n" * 8192)
        return folder

    def compile(self, source, *command):
        """A peer's program: command with the program's path for PROGRAM and the source's for
        SOURCE, when the source is newer. Absent if it cannot be built."""
        source = os.path.join(PEERS, source)
        folder = os.path.join(self.build, "bench", "peers")
        program = os.path.join(folder, os.path.basename(source).replace(".", "_"))
        if (os.path.exists(program) and
                os.path.getmtime(program) >= os.path.getmtime(source)):
            return program
        os.makedirs(folder, exist_ok=True)
        words = {"PROGRAM": program, "SOURCE": source}
        environment = {**os.environ, "GO111MODULE": "off", "GOTOOLCHAIN": "local",
                       "GOCACHE": os.path.join(folder, "go")}
        try:
            subprocess.run([words.get(word, word) for word in command], check=True, text=True,
                           env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            why = getattr(error, "stderr", "") or str(error)
            raise Absent(f"{os.path.basename(source)} cannot be built: {why.strip()[-200:]}")
        return program
