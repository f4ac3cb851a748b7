"""A Kafka node that wants TLS and a password: its certificates, made for the test, and the files of its clients."""

import subprocess
from pathlib import Path

from kafka_utils.node import free_port
from tests.support.kafka import KafkaNode

USER, PASSWORD = "nerf", "hunter2=geheim"
PLAIN = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class GuardedNode(KafkaNode):
    """Beside its open listener one that wants TLS and a login, PLAIN or SCRAM; `guarded` is its address."""

    def __init__(self, folder: Path):
        self.certificates = make_certificates(folder / "certificates")
        port = free_port()
        self.guarded = f"localhost:{port}"
        listener = "listener.name.sasl_ssl"
        super().__init__(folder / "node", [f"SASL_SSL://localhost:{port}"], {
            f"{listener}.ssl.keystore.type": "PEM",
            f"{listener}.ssl.keystore.location": str(self.certificates / "broker.pem"),
            f"{listener}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            f"{listener}.plain.sasl.jaas.config": PLAIN,
            f"{listener}.scram-sha-512.sasl.jaas.config": SCRAM,
        }, ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"])

    def login_file(self, path: Path, mechanism: str = "PLAIN", password: str = PASSWORD, ca: str = "ca.crt") -> Path:
        """What --kafka-config gets."""
        path.write_text(f"security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nsasl.username={USER}\n"
                        f"sasl.password={password}\nssl.ca.location={self.certificates / ca}\n")
        return path


def make_certificates(folder: Path) -> Path:
    """ca.crt, broker.pem (key and certificate for localhost), and stranger.crt: a CA that signed nothing."""
    folder.mkdir(parents=True)
    for name in ("ca", "stranger"):
        openssl(folder, f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} "
                        f"-keyout {name}.key -out {name}.crt")
    openssl(folder, "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout broker.key -out broker.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl(folder, "x509 -req -days 2 -in broker.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names "
                    "-out broker.crt")
    (folder / "broker.pem").write_text((folder / "broker.key").read_text() + (folder / "broker.crt").read_text())
    return folder


def openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)
