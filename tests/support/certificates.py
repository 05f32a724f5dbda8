"""Certificates of a test's own, made when it runs by the openssl program: nothing that
expires is checked in."""

import pathlib
import subprocess
import tempfile


def openssl(*args, **kwargs):
    done = subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, check=False, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"openssl {args}: {done.stderr.decode(errors='replace')}")
    return done.stdout


class Authority:
    """An authority in a folder of its own, which goes with it. `file` is its certificate."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._folder.name)
        self.file, self._key = self._paths("authority")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", "/CN=authority", "-keyout", self._key, "-out", self.file)

    def close(self):
        self._folder.cleanup()

    def _paths(self, name):
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")

    def issue(self, name, names="DNS:localhost,IP:127.0.0.1", key=("ec", "ec_paramgen_curve:P-256")):
        """(certificate, key): files in PEM."""
        certificate, key_file = self._paths(name)
        request, extensions = str(self.folder / "request"), self.folder / "extensions"
        extensions.write_text(f"subjectAltName={names}\n")
        openssl("req", "-newkey", key[0], "-pkeyopt", key[1], "-nodes", "-subj", f"/CN={name}",
                "-keyout", key_file, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key,
                "-CAcreateserial", "-days", "2", "-extfile", str(extensions), "-out", certificate)
        return certificate, key_file

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)
