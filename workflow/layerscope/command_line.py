"""How a script starts: its function's signature is its command line; user errors have no traceback."""

from __future__ import annotations

import atexit
import errno
import gc
import inspect
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, TextIO, get_type_hints

from cyclopts import App, CycloptsError, Parameter

from layerscope.errors import WARNING, ConfigError, LayerscopeError
from layerscope.files import final_name

# until a script runs: what imports make stays, and to look for garbage in it again and again takes time
GARBAGE = gc.get_threshold()
gc.set_threshold(100_000)

LONGEST_PATH = 1000
KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
HDF5_REFUSED = re.compile(r"filename = '([^']*)'.*?errno = (\d+)", re.DOTALL)
# what a disk or its owner refuses, with the remedy; any other failure of the system is a defect
REFUSALS = {
    errno.ENOSPC: "the disk is full: make room, and run again",
    errno.EDQUOT: "the quota of the disk is used up: make room, and run again",
    errno.EFBIG: "the file is larger than is allowed here (ulimit -f): raise the limit, and run again",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "no permission: change it, or choose another folder",
    errno.EPERM: "not permitted: choose another folder",
    errno.EEXIST: "a file stands where a folder is needed: move it, or choose another folder",
    errno.ENOTDIR: "a file stands where a folder is needed: move it, or choose another folder",
    errno.EISDIR: "a folder stands where a file is needed: move it, or choose another name",
    errno.ENAMETOOLONG: "the name is too long for the file system: choose a shorter one",
    errno.EIO: "the disk failed to read or write: look at it, and run again",
    errno.ESTALE: "the shared file system lost the file: run again",
}


def shown_default(value: object) -> str | None:
    """A default as the help shows it: nothing where it says nothing."""
    return None if value is False or value in (None, (), "") else str(value)


def command(function: Callable[..., None]) -> Callable[[Sequence[str] | None], None]:
    """The ``main`` of a script whose command line is the signature of ``function``.

    Every parameter is an option of the same name (but one that is positional only), which takes as many words
    as its type holds; a mapping is JSON text or the path of a YAML or JSON file. The docstring is the help.
    """
    hints = {
        name: SETTINGS if kind == Mapping[str, Any] else kind
        for name, kind in get_type_hints(function).items()
    }
    parameters = [
        parameter if parameter.kind == parameter.POSITIONAL_ONLY else parameter.replace(kind=KEYWORD_ONLY)
        for parameter in inspect.signature(function).parameters.values()
    ]

    def called(*words: Any, **options: Any) -> None:
        function(*words, **options)

    called.__doc__, called.__annotations__ = function.__doc__, hints
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app = App(
        name=Path(sys.argv[0]).name,
        default_parameter=Parameter(consume_multiple=True, negative=(), show_default=shown_default),
        help_format="plaintext",
        version_flags=(),
        result_action="return_value",
    )
    app.default(called)

    def main(argv: Sequence[str] | None = None) -> None:
        try:
            chosen, bound, _ = app.parse_args(argv, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            print(f"error: {error} (--help lists the options)", file=sys.stderr)
            sys.exit(2)
        chosen(*bound.args, **bound.kwargs)

    return main


def run(main: Callable[[], None]) -> None:
    """Run a script's ``main``; a :class:`LayerscopeError` becomes one message and exit status 1.

    So does what the disk refuses: it is full, read-only, not permitted or broken. A warning, be it logged or
    given by a library, is one line that begins with :data:`WARNING`.
    """
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    messages = logging.StreamHandler(sys.stderr)
    messages.setFormatter(_Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[messages])
    logging.getLogger("layerscope").setLevel(logging.INFO)  # what libraries tell stays unsaid
    warnings.showwarning = _warned
    sys.excepthook = _end_at_once
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read what is printed has left: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except LayerscopeError as error:
        sys.exit(f"error: {error}")
    except (OSError, RuntimeError) as error:
        refusal = refused(error)
        if refusal is None:
            raise
        sys.exit(f"error: {refusal}")


class _Lines(logging.Formatter):
    """Messages as they are; warnings on one line, after :data:`WARNING`."""

    def format(self, record: logging.LogRecord) -> str:
        """One message."""
        message = super().format(record)
        return message if record.levelno < logging.WARNING else WARNING + " ".join(message.split())


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log the warning of a library; those for people who write code (deprecations) are no warnings here."""
    for_users = issubclass(category, (UserWarning, RuntimeWarning))
    level = logging.WARNING if for_users else logging.INFO
    logging.getLogger(__name__).log(level, "%s: %s", category.__name__, message)


def refused(error: BaseException) -> str | None:
    """What the disk refused, and what to do; None if that was not it. HDF5 may say it in words alone."""
    chain: BaseException | None = error
    while chain is not None:
        stated = HDF5_REFUSED.search(str(chain))
        number = getattr(chain, "errno", None) or (int(stated[2]) if stated else None)
        if number in REFUSALS:
            where = getattr(chain, "filename", None) or (stated[1] if stated else None)
            return f"{final_name(str(where))}: {REFUSALS[number]}" if where else REFUSALS[number]
        chain = chain.__cause__ or chain.__context__
    return None


def _end_at_once(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say of an exception that nobody caught what the disk refused, and end at once.

    HDF5 cannot close a file that it could not write: it complains of every part of it, where no one can catch
    it, and crashes in the end. So files stay open here, and the scratch file is removed by the name that HDF5
    gives.
    """
    refusal = refused(error)
    if refusal is None:
        sys.__excepthook__(kind, error, trace)
        return
    stated = HDF5_REFUSED.search(str(error))
    if stated and final_name(stated[1]) != stated[1]:
        Path(stated[1]).unlink(missing_ok=True)
    print(f"error: {refusal}", file=sys.stderr, flush=True)
    logging.shutdown()
    atexit._run_exitfuncs()  # temporary folders are removed
    os._exit(1)


def settings(text: str) -> dict[str, Any]:
    """Read settings from JSON text, or a YAML or JSON file; a ConfigError if it is neither, or no mapping."""
    if not text.lstrip().startswith("{"):
        if len(text) > LONGEST_PATH or not Path(text).is_file():
            shown = text if len(text) < 200 else f"{text[:100]}..."
            raise ConfigError(f"settings: {shown!r} is neither JSON text that starts with '{{' nor a file")
        from layerscope.study.file import read_study  # PyYAML; rules pass JSON

        return read_study(text)
    try:
        given: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"the settings: not valid JSON ({str(error).splitlines()[0]})") from error
    return given


SETTINGS = Annotated[
    Mapping[str, Any],
    Parameter(
        converter=lambda _, words: settings(words[0].value), n_tokens=1, accepts_keys=False, json_dict=False
    ),
]
