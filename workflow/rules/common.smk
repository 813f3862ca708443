# Functions only: where things are, what re-runs a job, and how rules ask the study.

import inspect
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from snakemake.exceptions import WorkflowError


def folder():
    """Folder of the workflow: beside this file, or in the installed package where this file came alone.

    So it comes to a workflow whose `module` names a repository elsewhere, `github(...)`.
    """
    here = workflow.current_basedir
    if isinstance(here, str | os.PathLike):
        return Path(here).parent
    try:
        from layerscope.installation import repository
    except ImportError:
        raise WorkflowError(
            "the module layerscope needs its package beside Snakemake: pip install layerscope, of the same version"
        ) from None
    return repository() / "workflow"


WORKFLOW = folder()
sys.path.insert(0, str(WORKFLOW))

from layerscope.code_digest import code_digest as code
from layerscope.doors.studies import study_of
from layerscope.errors import ConfigError
from layerscope.report.description import study_description
from layerscope.study import gathering, jobs
from layerscope.study.file import read_study
from layerscope.study.runs import Study
from layerscope.tasks.catalogue import TASKS


def repository(path):
    """Path of a file of the repository, relative to the working directory where Snakemake runs."""
    return os.path.relpath(WORKFLOW.parent / path)


def checked(config):
    """The study, over the catalogues, or one message that says what is wrong with its configuration."""
    try:
        for file in workflow.configfiles:
            read_study(file)
        return study_of(config)
    except ConfigError as error:
        raise WorkflowError(f"configuration: {error}") from None


def shell_prefix(mirror):
    """Scripts import the package from beside the Snakefile, in whatever environment they run.

    Without conda, they run with the Python that runs Snakemake, activated or not. The mirror of downloads is
    passed on here, not as a parameter of jobs: another mirror must fetch nothing again.
    """
    methods = workflow.deployment_settings.deployment_method
    in_conda = any(method.name == "CONDA" for method in methods)
    python = "" if in_conda else f"export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; "
    mirror = shlex.quote(mirror if isinstance(mirror, str) else as_json(mirror))
    package = shlex.quote(str(WORKFLOW))
    # a variable that forbids bytecode makes each of hundreds of jobs compile the package anew
    variables = f"PYTHONPATH={package} LAYERSCOPE_MIRROR={mirror} PYTHONDONTWRITEBYTECODE="
    exports = f"set -euo pipefail; export {variables}; {python}"
    return exports.replace("{", "{{").replace("}", "}}")


def code_of_model(script):
    """The same of a script that runs a model: with the module of its family."""

    def digest(study, model):
        return code(script, f"models/{study.family(model)}.py")

    return asks(digest)


def code_of_task(script):
    """The same of a script that runs a task's job: with the module of the task."""

    def digest(study, condition):
        room = f"tasks/{study.task(condition)}"
        return code(script, f"{room}/task.py", f"{room}/job.py")

    return asks(digest)


def asks(answer):
    """A function of wildcards: what ``answer`` says of the study; its parameters are wildcards' names. Settings become JSON."""
    names = list(inspect.signature(answer).parameters)

    def ask(wildcards):
        reply = answer(study, **{name: wildcards[name] for name in names if name in wildcards.keys()})
        return as_json(reply) if isinstance(reply, Mapping) else reply

    return ask


def growing(megabytes):
    """Memory of a job: what the first attempt asks for, and as much again with every further attempt."""

    def mem_mb(wildcards, attempt):
        return megabytes * attempt

    return mem_mb


def any_of(names):
    """Wildcard constraint that matches these names and nothing else."""
    return "|".join(map(re.escape, sorted(names))) or "(?!)"


def as_json(settings):
    """Settings as one line of text that is the same for the same content."""
    return json.dumps(settings, sort_keys=True)


def described(*parts):
    """These parts of what figures and report say beside the tables."""
    description = study_description(study)
    # unsorted: colours go by the place of a model in the study
    return json.dumps({part: description[part] for part in parts})
