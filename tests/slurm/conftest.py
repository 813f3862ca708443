"""A SLURM of its own on this machine: one node, one partition, a GPU that is scheduled but not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

CONFIGURATION = Path("/etc/slurm/slurm.conf")
GENERIC_RESOURCES = Path("/etc/slurm/gres.conf")
MUNGE_SOCKET = Path("/run/munge/munge.socket.2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
MEMORY_MB = 12_000

# Memory is watched, not caged: without cgroups a job that takes more than it asked for is killed in a second.
SLURM_CONF = """\
ClusterName=layerscope-test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
KillWait=2
MinJobAge=3600
ReturnToService=2
SchedulerParameters=sched_interval=2,bf_interval=2
GresTypes=gpu
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1
PartitionName=ci Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why no SLURM can be started here, empty if one can."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        packages = "apt-get install --no-install-recommends slurm-wlm munge"
        return f"{', '.join(absent)} not installed ({packages})"
    if os.geteuid() != 0:
        return "starting SLURM needs root"
    if CONFIGURATION.exists():
        return f"{CONFIGURATION} exists: this machine may belong to a cluster"
    return ""


def wait_for(what: str, ready: list[str], seconds: float, answer: str = "") -> None:
    """Wait until a command succeeds and prints ``answer``."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        run = subprocess.run(ready, capture_output=True, text=True, check=False)
        if run.returncode == 0 and answer in run.stdout:
            return
        time.sleep(0.3)
    raise RuntimeError(f"{what} did not start within {seconds} s: {run.stdout}{run.stderr}")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a running SLURM's logs; what was started is stopped, by its process id."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    started: list[subprocess.Popen[bytes]] = []
    host = os.uname().nodename
    cpus = len(os.sched_getaffinity(0))
    try:
        if not MUNGE_SOCKET.exists():
            MUNGE_SOCKET.parent.mkdir(parents=True, exist_ok=True)
            shutil.chown(MUNGE_SOCKET.parent, "munge", "munge")
            started.append(subprocess.Popen(["runuser", "-u", "munge", "--", "munged", "--foreground"]))
        wait_for("munged", ["munge", "-n"], 20)
        CONFIGURATION.parent.mkdir(exist_ok=True)
        text = SLURM_CONF.format(host=host, folder=folder, cpus=cpus, memory=MEMORY_MB)
        CONFIGURATION.write_text(text, encoding="utf-8")
        GENERIC_RESOURCES.write_text("NodeName=localhost Name=gpu File=/dev/null\n", encoding="utf-8")
        started.append(subprocess.Popen(["slurmctld", "-D"]))
        started.append(subprocess.Popen(["slurmd", "-D", "-N", "localhost"]))
        wait_for("SLURM", ["sinfo", "--noheader", "--format=%T"], 60, "idle")
        yield folder
    finally:
        subprocess.run(["scancel", "--full", "--user=root"], check=False, capture_output=True)
        wait_for("the end of all jobs", ["sh", "-c", "! squeue --noheader | grep -q ."], 60)
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
        CONFIGURATION.unlink(missing_ok=True)
        GENERIC_RESOURCES.unlink(missing_ok=True)
