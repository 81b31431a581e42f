"""Certificates for the tests, and the files they are in."""

import ssl
from pathlib import Path

import trustme

# Of the password "U*U", at the lowest cost that bcrypt allows but one.
HASH = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
PASSWORD = "U*U"


class Authority:
    """A CA, and what it makes out, in a folder of its own."""

    def __init__(self, folder: Path, ca: trustme.CA | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ca = ca or trustme.CA()
        self.bundle = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.bundle)

    def trusted(self) -> ssl.SSLContext:
        """What a client that trusts this CA, and no other, connects with."""
        return ssl.create_default_context(cafile=str(self.bundle))

    def issue(self, name: str, *sans: str) -> tuple[Path, Path]:
        """Make out a certificate for these names; return its file and that of its key."""
        leaf = self.ca.issue_cert(*sans)
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        key.write_bytes(leaf.private_key_pem.bytes())
        return certificate, key
