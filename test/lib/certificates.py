"""A certificate authority of the test's own, made by the openssl program."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess


def openssl(*words: str) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"openssl {' '.join(words)}: {done.stderr}"


@dataclasses.dataclass
class Certificate:
    """A certificate with its key, both PEM files."""

    file: pathlib.Path
    key: pathlib.Path


class Authority:
    def __init__(self, folder: pathlib.Path, name: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, name
        self.own = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
        self.issued = 0
        openssl(
            "req", "-x509", *self._new_key(self.own), "-days", "2", "-subj", f"/CN={name}", "-out", str(self.own.file)
        )

    @staticmethod
    def _new_key(made: Certificate) -> list[str]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(made.key)]

    @property
    def file(self) -> str:
        """What somebody who trusts this authority names as anchor."""
        return str(self.own.file)

    def certificate(self, names: str, days: int = 2) -> Certificate:
        """`names` as in "DNS:localhost,IP:127.0.0.1"; with negative days it has expired."""
        self.issued += 1
        stem = self.folder / f"{self.name}-{self.issued}"
        made = Certificate(stem.with_suffix(".pem"), stem.with_suffix(".key"))
        request, extensions = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={names}\n")
        openssl("req", "-new", *self._new_key(made), "-subj", "/CN=upstream", "-out", str(request))
        openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.own.file), "-CAkey", str(self.own.key), "-CAcreateserial",
            "-extfile", str(extensions), "-days", str(days), "-out", str(made.file),
        )  # fmt: skip
        return made
