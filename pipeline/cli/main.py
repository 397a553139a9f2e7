"""The `ranklite` command."""

from __future__ import annotations

import argparse
import os
import select
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ranklite.extras import SERVE, TRAIN, MissingExtra, explained
from ranklite.pipeline.cli import commands, comparing, serving
from ranklite.pipeline.cli.parser import parser
from ranklite.pipeline.config.renamed import RenamedKey
from ranklite.pipeline.kubeflow import commands as kubeflow

_COMMANDS = {
    "run": commands.run,
    "validate": commands.validate,
    "report": commands.report,
    "compare": comparing.compare,
    "score": commands.score,
    "serve": serving.serve,
    "demo": commands.demo,
    "lineage": commands.lineage,
    "verify": commands.verify,
    "clean": commands.clean,
    "tensorboard": commands.tensorboard,
    "kubeflow": kubeflow.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
      argv: Arguments after the program's name; None takes those of the process.

    Returns:
      0 if all went well, 1 after an error, 2 if a gate kept the model from being pushed; 130 if it
      was interrupted, 141 if what reads its output (`| head`) ended before it.
    """
    args = parser().parse_args(argv)
    with warnings.catch_warnings():
        if args.command != "run":  # which keeps these words in its log
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what is absent: CUDA, TensorRT
            warnings.filterwarnings("ignore", category=FutureWarning, module="google")
        warnings.simplefilter("always", RenamedKey)
        warnings.showwarning = _show_renamed(warnings.showwarning, args.command)
        return _exit_code(args)


def _exit_code(args: argparse.Namespace) -> int:
    try:
        code = _COMMANDS[args.command](args)
        sys.stdout.flush()  # or a pipe that broke would be noticed where nothing can be done
        return code
    except (ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _unread():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is buffered
            return 141
        _tell(args, error)
        return 1
    except MemoryError as error:
        _tell(args, error)
        return 1
    except ModuleNotFoundError as error:
        extra = SERVE if args.command == "serve" else TRAIN
        why = explained(f"`ranklite {args.command}`", error, extra)
        if why is error and not isinstance(error, MissingExtra):
            raise
        print(f"ranklite {args.command}: {why}", file=sys.stderr)
        return 1
    except ImportError as error:
        if not _outside(args, error):
            raise
        _tell(args, error)  # memory ran out while a library was loaded
        return 1
    except KeyboardInterrupt:
        resume = ". Rerun the command to resume from the last completed stage."
        print(f"\nstopped{resume if args.command == 'run' else ''}", file=sys.stderr)
        return 130


def _tell(args: argparse.Namespace, error: Exception) -> None:
    """Says what went wrong, and what outside of the command may have led to it."""
    lines = [f"ranklite {args.command}: {error or type(error).__name__}"]
    lines += [] if isinstance(error, ValueError) else _outside(args, error)
    print("\n".join(lines), file=sys.stderr)


def _outside(args: argparse.Namespace, error: BaseException | None) -> list[str]:
    from ranklite.pipeline.local.causes import causes

    runs = os.path.abspath(getattr(args, "runs", None) or os.curdir)
    words, each = "", error
    while each is not None:  # a library that cannot be loaded says why in what led to its error
        words += f"{type(each).__name__}: {each}\n"
        each = each.__cause__ or each.__context__
    return causes(words, os.path.join(runs, ""))


def _show_renamed(show: Callable[..., None], command: str) -> Callable[..., None]:
    """Shows a renamed key as a line of the command's own, all else as before."""

    def show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, RenamedKey):
            print(f"ranklite {command}: {message}", file=sys.stderr)
        else:
            show(message, category, *place)

    return show_warning


def _unread() -> bool:
    """Whether what read the standard output is gone; a broken pipe may be a socket's, too."""
    poll = select.poll()
    poll.register(sys.stdout, select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


if __name__ == "__main__":
    sys.exit(main())
