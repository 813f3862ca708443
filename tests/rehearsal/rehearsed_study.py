"""The paper's own configuration, run in a copy of the repository with another mirror."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from mirror_servers import Served, Servers
from workflow_study import copy_repository

CONFIGURATION = "config/paper.yaml"


@dataclass
class Rehearsal:
    """A copy of the repository in which the paper's study is run against the servers.

    Attributes
    ----------
    folder
        The copy.
    servers
        In the place of the real hosts.
    cores
        For Snakemake.
    served
        What the servers had sent when the first run ended.
    """

    folder: Path
    servers: Servers
    cores: str
    served: dict[str, Served] = field(default_factory=dict)

    def __post_init__(self) -> None:
        copy_repository(self.folder)
        (self.folder / "mirror.yaml").write_text(yaml.safe_dump(self.changes()), encoding="utf-8")

    @property
    def log(self) -> Path:
        """What Snakemake said."""
        return self.folder / "snakemake.log"

    def changes(self) -> dict[str, object]:
        """All that differs from the configuration of the real run.

        The mirror's prefix; that the licences are accepted, which everyone does for themselves; size and
        SHA-256 of the two files of weights that the catalogue pins, for these are others; and how many cells
        stand for a perturbation, for the screens are smaller.
        """
        return {
            "mirror": self.servers.mirror,
            "accepted_licences": ["scfoundation", "tahoe_x1_1b"],
            "models": {"scfoundation": {"weights": {"fetch": self.servers.files.pinned}}},
            "perturbation": {"strict": {"cells_per_perturbation": 16}},
        }

    @property
    def environment(self) -> dict[str, str]:
        """Trust the servers' certificate; no proxy stands between."""
        proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
        trusted = {"SSL_CERT_FILE": str(self.servers.certificate)}
        return {**os.environ, **proxies, **trusted, "PYTHONPATH": ""}

    def snakemake(self, *arguments: str) -> int:
        """Run Snakemake on the paper's configuration, talking to the log; returns its exit status."""
        command = [sys.executable, "-m", "snakemake", "--cores", self.cores]
        command += ["--set-threads", "extract_layers=1"]  # more are of no use to models of this width
        command += ["--configfile", CONFIGURATION, "mirror.yaml", *arguments]
        with self.log.open("ab") as output:
            run = subprocess.run(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return run.returncode
